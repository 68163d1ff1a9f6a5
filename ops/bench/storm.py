"""A connect storm: many charge points come back at the same time and log in."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Iterator
from typing import Any

from ops.bench import frames
from ops.bench.children import BenchError

_PATIENCE_S = 15.0
_LOGIN_ANSWER = 0x02
_ANSWER_SIZE = 16


class _Caller:
    """One charge point on its way in."""

    __slots__ = ("acknowledged_s", "link", "login", "sent_s", "started_s")

    def __init__(self, link: socket.socket, login: bytes, now_s: float) -> None:
        self.link = link
        self.login = login
        self.started_s = now_s
        self.sent_s = 0.0
        self.acknowledged_s = 0.0


def storm(port: int, charge_points: int, per_s: float, hold_s: float = 1.0) -> dict[str, Any]:
    """Log charge points in at an even rate; each reports its idle connector afterwards.

    Returns how many were acknowledged, how many of those still stood `hold_s` after the last,
    and each one's time from the first SYN to the acknowledgement, in ms.
    """
    poll = select.epoll()
    callers: dict[int, _Caller] = {}
    start_s = time.perf_counter()
    try:
        for index in range(charge_points):
            due_s = start_s + index / per_s
            while (wait_s := due_s - time.perf_counter()) > 0:
                _serve(poll, callers, wait_s)
            _call(poll, callers, port, index)
        deadline_s = time.perf_counter() + _PATIENCE_S
        while any(_waiting(callers)) and time.perf_counter() < deadline_s:
            _serve(poll, callers, 0.05)
        wall_s = time.perf_counter() - start_s
        hold_until_s = time.perf_counter() + hold_s
        while (wait_s := hold_until_s - time.perf_counter()) > 0:
            _serve(poll, callers, wait_s)
        acknowledged = [caller for caller in callers.values() if caller.acknowledged_s]
        delays_ms = [(each.acknowledged_s - each.started_s) * 1000 for each in acknowledged]
        standing = sum(_is_open(caller.link) for caller in acknowledged)
        return {
            "acknowledged": len(acknowledged),
            "standing": standing,
            "ack_ms": delays_ms,
            "wall_s": wall_s,
        }
    finally:
        for caller in callers.values():
            caller.link.close()
        poll.close()


def _call(poll: select.epoll, callers: dict[int, _Caller], port: int, index: int) -> None:
    link = socket.socket()
    link.setblocking(False)
    caller = _Caller(link, frames.login(frames.number(index)), time.perf_counter())
    with contextlib.suppress(BlockingIOError):
        link.connect(("127.0.0.1", port))
    callers[link.fileno()] = caller
    poll.register(link, select.EPOLLOUT)


def _serve(poll: select.epoll, callers: dict[int, _Caller], timeout_s: float) -> None:
    for fd, event in poll.poll(timeout_s, 256):
        caller = callers[fd]
        if event & select.EPOLLOUT:
            error = caller.link.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                raise BenchError(f"a connection was refused: errno {error}")
            caller.link.send(caller.login)
            caller.sent_s = time.perf_counter()
            poll.modify(fd, select.EPOLLIN)
            continue
        try:
            data = caller.link.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            poll.unregister(fd)
        elif not caller.acknowledged_s and _accepts(data):
            caller.acknowledged_s = time.perf_counter()
            caller.link.send(frames.idle(caller.login[6:13].hex()))


def _accepts(data: bytes) -> bool:
    return len(data) >= _ANSWER_SIZE and data[5] == _LOGIN_ANSWER and data[13] == 0


def _waiting(callers: dict[int, _Caller]) -> Iterator[_Caller]:
    return (each for each in callers.values() if not each.acknowledged_s)


def _is_open(link: socket.socket) -> bool:
    try:
        return link.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False
