"""The bare baseline: a uvloop TCP server that splits frames and does nothing with them.

What the station path costs is given as a multiple of this, taken in the same run.
"""

from __future__ import annotations

import asyncio
import sys
import threading

import uvloop

from ops.bench.children import answer_requests, say

_START = 0x68
_OVERHEAD = 4


class Splitter(asyncio.Protocol):
    """Cuts its stream into frames by their length byte and counts them. No checksum, no fields."""

    frames = 0

    def __init__(self) -> None:
        self._pending = b""

    def data_received(self, data: bytes) -> None:
        """Split."""
        if self._pending:
            data = self._pending + data
        position, size = 0, len(data)
        found = []
        while position + 2 <= size:
            if data[position] != _START:
                position += 1
                continue
            end = position + data[position + 1] + _OVERHEAD
            if end > size:
                break
            found.append(data[position:end])
            position = end
        self._pending = data[position:]
        Splitter.frames += len(found)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(Splitter, "127.0.0.1", 0, backlog=1024)
    say({"port": server.sockets[0].getsockname()[1]})
    requests = {"count": lambda: {"frames": Splitter.frames}}
    threading.Thread(target=answer_requests, args=(requests,), daemon=True).start()
    await server.serve_forever()


if __name__ == "__main__":
    sys.exit(uvloop.run(_serve()))
