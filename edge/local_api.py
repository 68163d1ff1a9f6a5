"""The agent's local socket: one line of JSON asks, one line answers. Root and the group only.

`{"do": "state"}` → the station as it is; `waiting` → numbers that want to be adopted; `adopt`,
`reset` → do it. Every answer has `ok`; a refusal has `error` in words.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

LINE_MAX = 64 * 1024
ANSWER_MAX = 64 * 1024 * 1024
_MODE = 0o660

Answer = dict[str, Any]
Handler = Callable[[Answer], Answer | Awaitable[Answer]]


class LocalApiError(Exception):
    """A request that is refused; the text is shown to whoever asked."""


class LocalApi:
    """Serves the socket; `handlers` name what may be asked."""

    def __init__(self, path: Path, handlers: dict[str, Handler]) -> None:
        self._path = path
        self._handlers = handlers
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; a socket file that a crash left behind is replaced."""
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, self._path, limit=LINE_MAX)
        self._path.chmod(_MODE)

    async def close(self) -> None:
        """Stop listening and remove the socket."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                answer = await self._answer(line)
                writer.write(json.dumps(answer, ensure_ascii=False).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError) as error:
            # ValueError: a line beyond the limit. Either way only this caller is affected.
            logger.info("local caller dropped: %s", error)
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> Answer:
        try:
            request = json.loads(line)
            handler = self._handlers[request["do"]]
        except (ValueError, KeyError, TypeError):
            return {"ok": False, "error": f"unknown request, use one of {sorted(self._handlers)}"}
        try:
            answer = handler(request)
            if isinstance(answer, Awaitable):
                answer = await answer
        except (LocalApiError, ValueError, TypeError, OverflowError) as error:
            return {"ok": False, "error": str(error)}
        except Exception:
            # Whoever asked gets an answer; the traceback says whose bug it is.
            logger.exception("local request failed")
            return {"ok": False, "error": "the agent could not do this; see its log"}
        return {"ok": True, **answer}


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
