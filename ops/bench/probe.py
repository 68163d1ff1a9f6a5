"""The alarm probe: an over-temperature 0x25 in, a stop frame out, and the time between them.

A child of its own, blocking on one connection at a time, so that nothing else of the load stands
between the stop frame's arrival and the look at the clock.
"""

from __future__ import annotations

import socket
import time
from typing import Any

from ops.bench import frames
from ops.bench.children import BenchError, answer_requests

_STOP = 0x36
_ANSWER_LIMIT_S = 10.0
_HOT_C = 70


class Probe:
    """Charge points whose cars get too hot, one after another."""

    def __init__(self) -> None:
        self._links: list[socket.socket] = []
        self._cars: list[frames.Charging] = []

    def connect(self, port: int, connections: int, first: int) -> dict[str, Any]:
        """Log in as many charge points, their numbers from index `first` on."""
        for index in range(first, first + connections):
            number = frames.number(index)
            link = socket.create_connection(("127.0.0.1", port), _ANSWER_LIMIT_S)
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link.sendall(frames.login(number))
            if link.recv(4096)[13] != 0:
                raise BenchError(f"login of {number} was refused")
            link.sendall(frames.heartbeat(number))
            self._links.append(link)
            self._cars.append(frames.Charging(number))
        return {"connected": len(self._links)}

    def alarms(self, count: int, per_s: float) -> dict[str, Any]:
        """Overheat `count` batteries; return each time from frame to stop frame, in ms."""
        times_ms = []
        next_s = time.perf_counter()
        for index in range(count):
            link = self._links[index % len(self._links)]
            car = self._cars[index % len(self._cars)]
            _forget_what_came(link)
            link.sendall(car.realtime())
            if (wait_s := next_s - time.perf_counter()) > 0:
                time.sleep(wait_s)
            next_s += 1.0 / per_s
            times_ms.append(_overheat(link, car))
            # The car is gone: the stop is proved and the next alarm is a new one.
            link.sendall(frames.idle(car.charge_point_no))
        return {"times_ms": times_ms}


def _overheat(link: socket.socket, car: frames.Charging) -> float:
    hot = car.status(battery_c=_HOT_C)
    started_s = time.perf_counter()
    link.sendall(hot)
    pending = b""
    while True:
        pending += link.recv(4096)
        now_s = time.perf_counter()
        while len(pending) >= 2 and len(pending) >= (size := pending[1] + 4):
            if pending[5] == _STOP:
                return (now_s - started_s) * 1000
            pending = pending[size:]
        if not pending and now_s - started_s > _ANSWER_LIMIT_S:
            raise BenchError("no stop frame came")


def _forget_what_came(link: socket.socket) -> None:
    link.setblocking(False)
    try:
        while link.recv(65536):
            pass
    except BlockingIOError:
        pass
    finally:
        link.settimeout(_ANSWER_LIMIT_S)


def main() -> None:
    """Serve the bench until it closes stdin."""
    probe = Probe()
    answer_requests({"connect": probe.connect, "alarms": probe.alarms})


if __name__ == "__main__":
    main()
