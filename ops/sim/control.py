"""A control port on loopback: one JSON action a line in, one JSON answer a line out.

It lets another process (the demo, a test of whole processes) plug cars in and read counts.
There is no authentication: it listens on loopback only and belongs to a simulation.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

import msgspec

from ops.sim.actions import ActionError, AnyAction

logger = logging.getLogger(__name__)

_LINE_MAX = 1 << 24


async def answer(site: Any, decoder: msgspec.json.Decoder[Any], line: bytes) -> bytes:
    """Carry out one line; returns ``{"ok":true,"result":…}`` or ``{"ok":false,"error":"…"}``."""
    try:
        result = await decoder.decode(line).run(site)
    except (msgspec.MsgspecError, ActionError, OSError) as error:
        return msgspec.json.encode({"ok": False, "error": str(error)})
    return msgspec.json.encode({"ok": True, "result": result})


class ControlServer:
    """Serves the control port of a site.

    Args:
        site: What is acted upon.
        actions: A union of actions, each with `run(site)`; those of charge points by default.
    """

    def __init__(self, site: Any, actions: Any = AnyAction) -> None:
        self._site = site
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(actions)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self, port: int = 0) -> int:
        """Listen on loopback; port 0 picks a free one. Returns the port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, limit=_LINE_MAX)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening and close what is open."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._open):
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while line := await reader.readline():
                writer.write(await answer(self._site, self._decoder, line) + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError) as error:
            logger.warning("control connection ended: %s", error)
        finally:
            self._open.discard(writer)
            writer.close()


class ControlError(Exception):
    """The simulator refused an action."""


class ControlClient:
    """The other end of the control port. One action at a time; open several for more."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> ControlClient:
        self._reader, self._writer = await asyncio.open_connection(
            "127.0.0.1", self._port, limit=_LINE_MAX
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()
            with contextlib.suppress(ConnectionError):
                await self._writer.wait_closed()

    async def call(self, do: str, **arguments: Any) -> Any:
        """Carry out an action of `actions.py` and return its result.

        Raises:
            ControlError: The simulator refused, and says why.
            ConnectionError: The simulator is gone.
        """
        assert self._reader is not None
        assert self._writer is not None
        self._writer.write(msgspec.json.encode({"do": do, **arguments}) + b"\n")
        await self._writer.drain()
        line = await self._reader.readline()
        if not line:
            raise ConnectionResetError("the simulator closed its control port")
        reply = msgspec.json.decode(line)
        if not reply["ok"]:
            raise ControlError(reply["error"])
        return reply["result"]
