"""A TCP line that can be cut: between a station and HQ's broker."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self

_CHUNK_BYTES = 64 * 1024


class Line:
    """Listens on a free loopback port and carries bytes to a target until it is cut.

    Cut means: connections break at once and new ones are refused.
    """

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._carriers: set[asyncio.Task[None]] = set()
        self.port = 0

    @property
    def whole(self) -> bool:
        """Whether it carries."""
        return self._server is not None

    async def __aenter__(self) -> Self:
        """Begin to carry."""
        await self.mend()
        return self

    async def __aexit__(self, *_: object) -> None:
        """End it."""
        await self.cut()

    async def mend(self) -> None:
        """Carry again, on the same port as before."""
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Break what is connected and refuse what comes."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        carriers = tuple(self._carriers)
        for carrier in carriers:
            carrier.cancel()
        await asyncio.gather(*carriers, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._carriers.add(task)
        try:
            onward_reader, onward_writer = await asyncio.open_connection(
                "127.0.0.1", self._target_port
            )
        except OSError:
            self._carriers.discard(task)
            writer.transport.abort()
            return
        ways = [
            asyncio.create_task(_pump(reader, onward_writer)),
            asyncio.create_task(_pump(onward_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            # Ends here: a task of a stream server that ends cancelled is reported as an error.
            pass
        finally:
            self._carriers.discard(task)
            for way in ways:
                way.cancel()
            writer.transport.abort()
            onward_writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
