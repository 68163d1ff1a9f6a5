"""The agent's local socket: one line of JSON asks, one line answers. Root and the group only.

`{"do": "state"}` → the station as it is; `waiting` → numbers that want to be adopted; and so on:
`edge/README.md` lists them. Every answer has `ok`; a refusal has `error` in words, and for
programs a `code` that does not change, with the `values` that the words name.

`{"do": "watch"}` turns the connection into a stream: one `StationView` a line, the first at once,
then at most four a second when something changed and at least one a second: the agent's beat.
For who reads slowly one view waits at most, and the next is the newest; who has not taken it
within seconds is dropped. Nobody who watches can hold the agent up.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec

from edge.view import StationView
from shared.errors import RefusedError

logger = logging.getLogger(__name__)

LINE_MAX = 64 * 1024
ANSWER_MAX = 64 * 1024 * 1024
WATCHERS_MAX = 32
BEHIND_S = 3.0
"""A watcher that has not taken its view for so long is dropped."""
BEAT_S = 1.0
STEP_S = 0.25
_MODE = 0o660
WRONG = "wrong_request"
"""Code of a request that is not as it must be."""
_WATCH = "watch"
_UNREAD_BYTES = 4096
"""What the kernel keeps for a watcher: each view that it hides makes a hung one seem alive."""

Answer = dict[str, Any]
Handler = Callable[[Answer], Answer | Awaitable[Answer]]


class LocalApiError(RefusedError):
    """A request that is refused; the text is shown to whoever asked."""


class Views(Protocol):
    """Where the lines of the stream come from."""

    def line(self, *, only_changed: bool) -> bytes | None:
        """Return the station now as a line; None when `only_changed` and nothing has."""
        ...


class LocalApi:
    """Serves the socket; `handlers` name what may be asked, `views` what is streamed."""

    def __init__(
        self, path: Path, handlers: dict[str, Handler], views: Views | None = None
    ) -> None:
        self._path = path
        self._handlers = handlers
        self._views = views
        self._server: asyncio.Server | None = None
        self._callers: set[asyncio.StreamWriter] = set()
        # Who watches, and when it had last taken all that it was sent.
        self._watchers: dict[asyncio.StreamWriter, float] = {}
        self._feeding: asyncio.Task[None] | None = None
        self.dropped = 0
        """Watchers that read too slowly."""

    @property
    def watchers(self) -> int:
        """How many watch now."""
        return len(self._watchers)

    async def start(self) -> None:
        """Listen; a socket file that a crash left behind is replaced."""
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, self._path, limit=LINE_MAX)
        self._path.chmod(_MODE)

    async def close(self) -> None:
        """Stop listening, let everybody go and remove the socket."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)
        if self._feeding is not None:
            self._feeding.cancel()
        for caller in list(self._callers):
            caller.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._callers.add(writer)
        try:
            while line := await reader.readline():
                if self._views is not None and _is_watch(line):
                    if len(self._watchers) < WATCHERS_MAX:
                        await self._watch(self._views, reader, writer)
                        return
                    answer = _refusal("too_many", f"{WATCHERS_MAX} watch already")
                else:
                    answer = await self._answer(line)
                writer.write(json.dumps(answer, ensure_ascii=False).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError) as error:
            # ValueError: a line beyond the limit. Either way only this caller is affected.
            logger.info("local caller dropped: %s", error)
        finally:
            self._callers.discard(writer)
            writer.close()

    # Asking

    async def _answer(self, line: bytes) -> Answer:
        try:
            request = json.loads(line)
            handler = self._handlers[request["do"]]
        except (ValueError, KeyError, TypeError, RecursionError):
            known = sorted(self._handlers)
            return _refusal("unknown_request", f"unknown request, use one of {known}")
        try:
            answer = handler(request)
            if isinstance(answer, Awaitable):
                answer = await answer
        except RefusedError as error:
            return _refusal(error.code, str(error), *error.values)
        except (ValueError, TypeError, OverflowError) as error:
            return _refusal(WRONG, str(error))
        except Exception:
            # Whoever asked gets an answer; the traceback says whose bug it is.
            logger.exception("local request failed")
            return _refusal("failed", "the agent could not do this; see its log")
        return {"ok": True, **answer}

    # Watching

    async def _watch(
        self, views: Views, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Feed this connection until it ends; what it sends meanwhile is read over."""
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _UNREAD_BYTES)
        if line := _line_of(views, only_changed=False):
            writer.write(line)
        self._watchers[writer] = asyncio.get_running_loop().time()
        if self._feeding is None:
            self._feeding = asyncio.create_task(self._feed(views), name="views")
        try:
            while await reader.read(LINE_MAX):
                pass
        finally:
            self._watchers.pop(writer, None)

    async def _feed(self, views: Views) -> None:
        """Send views while somebody watches."""
        loop = asyncio.get_running_loop()
        sent_s = loop.time()
        try:
            while self._watchers:
                await asyncio.sleep(STEP_S)
                is_due = loop.time() - sent_s >= BEAT_S - STEP_S / 2
                if line := _line_of(views, only_changed=not is_due):
                    sent_s = loop.time()
                    self._send(line, sent_s)
        finally:
            self._feeding = None

    def _send(self, line: bytes, now_s: float) -> None:
        for writer, taken_s in list(self._watchers.items()):
            if not writer.transport.get_write_buffer_size():
                self._watchers[writer] = now_s
                writer.write(line)
            elif now_s - taken_s > BEHIND_S:
                del self._watchers[writer]
                self.dropped += 1
                logger.warning("watcher dropped, it reads too slowly")
                writer.transport.abort()


def _refusal(code: str, text: str, *values: str) -> Answer:
    return {"ok": False, "error": text, "code": code, "values": values}


def _is_watch(line: bytes) -> bool:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(request, dict) and request.get("do") == _WATCH


def _line_of(views: Views, *, only_changed: bool) -> bytes | None:
    try:
        return views.line(only_changed=only_changed)
    except Exception:
        # A view that cannot be built leaves screens stale, and stops nothing else.
        logger.exception("view not built")
        return None


async def ask(path: Path, request: Answer, timeout_s: float = 10.0) -> Answer:
    """Ask a running agent.

    Raises:
        OSError: No agent listens there, or it went away.
        TimeoutError: It does not answer.
    """
    async with asyncio.timeout(timeout_s):
        reader, writer = await asyncio.open_unix_connection(path, limit=ANSWER_MAX)
        try:
            writer.write(json.dumps(request).encode() + b"\n")
            await writer.drain()
            line = await reader.readline()
        finally:
            writer.close()
    if not line.endswith(b"\n"):
        raise ConnectionError("the agent went away")
    answer: Answer = json.loads(line)
    return answer


async def watch(path: Path) -> AsyncIterator[StationView]:
    """Yield what the agent shows, for as long as it does; close it with `aclose`.

    Silence for longer than a few beats means that the agent hangs: the caller's own time-out
    finds that.

    Raises:
        OSError: No agent listens there, or it went away.
        ValueError: What comes is no view; the agent is of another version.
    """
    decoder = msgspec.json.Decoder(StationView)
    reader, writer = await asyncio.open_unix_connection(path, limit=ANSWER_MAX)
    try:
        writer.write(json.dumps({"do": _WATCH}).encode() + b"\n")
        while line := await reader.readline():
            try:
                yield decoder.decode(line)
            except msgspec.MsgspecError as error:
                raise ValueError(f"no view of the station: {error}") from error
        raise ConnectionError("the agent went away")
    finally:
        writer.close()
