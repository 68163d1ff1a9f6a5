"""The line that can be cut, over real sockets."""

from __future__ import annotations

import asyncio

import pytest

from ops.demo.proxy import Line


async def test_carries_both_ways_until_cut_and_again_when_mended() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            writer.write(data.upper())
        writer.close()

    target = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with Line(target.sockets[0].getsockname()[1]) as line:
        port = line.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"HELLO"

        await line.cut()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        writer.close()

        await line.mend()
        assert line.port == port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"again")
        assert await reader.readexactly(5) == b"AGAIN"
        writer.close()
        await writer.wait_closed()
    target.close()


async def test_a_dead_target_looks_like_a_broken_connection() -> None:
    target = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0)
    port = target.sockets[0].getsockname()[1]
    target.close()
    await target.wait_closed()

    async with Line(port) as line:
        reader, writer = await asyncio.open_connection("127.0.0.1", line.port)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()
