"""The load: many charge points in one cheap process. Run as a child of the bench.

It knows no more of the protocol than it needs, so that it never is the bottleneck; the frames
are the product's own.
"""

from __future__ import annotations

import contextlib
import itertools
import select
import socket
import time
from typing import Any

from ops.bench import frames
from ops.bench.children import BenchError, answer_requests, say
from ops.bench.storm import storm

_LOGIN_LIMIT_S = 10.0
_SLEEP_MIN_S = 0.000_08
_DRAIN_EVERY_S = 0.1
_STALL_LIMIT_S = 60.0
_KINDS_PER_SAMPLE = {"0x13": 1, "typical": 3}


class Load:
    """Connections that are logged in, each with a car that charges."""

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []
        self._cars: list[frames.Charging] = []
        self._poll = select.epoll()
        self._by_fd: dict[int, socket.socket] = {}

    def connect(
        self,
        port: int,
        connections: int,
        connectors: int = 1,
        first: int = 0,
        *,
        log_in: bool = True,
    ) -> dict[str, Any]:
        """Open connections, their numbers from index `first` on.

        With `log_in` each is answered before this returns.
        """
        for index in range(first, first + connections):
            link = socket.create_connection(("127.0.0.1", port))
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets.append(link)
            number = frames.number(index)
            if log_in:
                link.sendall(frames.login(number, connectors))
                link.settimeout(_LOGIN_LIMIT_S)
                answer = link.recv(4096)
                if answer[5] != 0x02 or answer[13] != 0:
                    raise BenchError(f"login of {number} was refused: {answer.hex()}")
                link.sendall(frames.heartbeat(number))
            link.setblocking(False)
            self._poll.register(link, select.EPOLLIN)
            self._by_fd[link.fileno()] = link
        for connector_no in range(1, connectors + 1):
            for index in range(first, first + connections):
                self._cars.append(frames.Charging(frames.number(index), connector_no))
        return {"connected": len(self._sockets)}

    def pace(
        self, frames_per_s: float, seconds: float, warm_s: float = 0.0, kinds: str = "0x13"
    ) -> dict[str, Any]:
        """Send evenly spaced frames, one a packet, going round the connectors.

        Says {"warm": …} when `warm_s` is over; the answer counts all that was sent.
        """
        makes = list(itertools.chain.from_iterable(map(_makers(kinds), self._cars)))
        links = itertools.cycle(self._links(_KINDS_PER_SAMPLE[kinds]))
        rounds = itertools.cycle(makes)
        warm = int(warm_s * frames_per_s)
        total = warm + int(seconds * frames_per_s)
        interval_s = 1.0 / frames_per_s
        start_s = next_s = time.perf_counter()
        drained_s, late_s = start_s, 0.0
        for count in range(total):
            if count == warm and warm_s:
                say({"warm": count})
            now_s = time.perf_counter()
            if (wait_s := next_s - now_s) > _SLEEP_MIN_S:
                time.sleep(wait_s)
            else:
                late_s = max(late_s, -wait_s)
            next(links).send(next(rounds)())
            next_s += interval_s
            if now_s - drained_s > _DRAIN_EVERY_S:
                self._drain(0)
                drained_s = now_s
        wall_s = time.perf_counter() - start_s
        return {"sent": total, "after_warm": total - warm, "wall_s": wall_s, "late_s": late_s}

    def blast(self, count: int, frames_per_send: int) -> dict[str, Any]:
        """Send `count` frames as fast as they are taken, several a packet."""
        sends = []
        cars = itertools.cycle(self._cars)
        for _ in range(count // frames_per_send):
            car = next(cars)
            sends.append(b"".join(car.realtime() for _ in range(frames_per_send)))
        say({"ready": len(sends)})
        start_s = time.perf_counter()
        for link, data in zip(itertools.cycle(self._links(1)), sends, strict=False):
            self._send_all(link, data)
        return {"sent": len(sends) * frames_per_send, "wall_s": time.perf_counter() - start_s}

    def close(self) -> dict[str, Any]:
        """Close all connections."""
        for link in self._sockets:
            link.close()
        self._sockets.clear()
        self._cars.clear()
        return {}

    def _links(self, frames_per_car: int) -> list[socket.socket]:
        """Return the connection of each frame of one round."""
        per_car = itertools.cycle(self._sockets)
        return [
            link
            for link in itertools.islice(per_car, len(self._cars))
            for _ in range(frames_per_car)
        ]

    def _send_all(self, link: socket.socket, data: bytes) -> None:
        while data:
            try:
                data = data[link.send(data) :]
            except BlockingIOError:
                self._drain(0)
                if not select.select([], [link], [], _STALL_LIMIT_S)[1]:
                    raise TimeoutError("a connection takes nothing any more") from None

    def _drain(self, timeout_s: float) -> None:
        for fd, _ in self._poll.poll(timeout_s, 256):
            with contextlib.suppress(BlockingIOError):
                if not self._by_fd[fd].recv(65536):
                    raise BenchError("the station closed a connection")


def _makers(kinds: str) -> Any:
    def of(car: frames.Charging) -> list[Any]:
        return [car.realtime] if kinds == "0x13" else [car.realtime, car.demand, car.status]

    return of


def main() -> None:
    """Serve the bench until it closes stdin."""
    load = Load()
    answer_requests(
        {
            "connect": load.connect,
            "pace": load.pace,
            "blast": load.blast,
            "close": load.close,
            "storm": storm,
        }
    )


if __name__ == "__main__":
    main()
