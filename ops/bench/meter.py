"""A TCP proxy that counts what passes: bytes by itself, segments as the kernel counts them.

A child of the bench, between a station and its broker. It announces an Ethernet's segment size,
because loopback's own would hide segments.
"""

from __future__ import annotations

import socket
import struct
import threading
from typing import Any

from ops.bench.children import answer_requests

_SEGMENT_MAX = 1448
_TCP_INFO_SIZE = 144
_SEGMENTS = struct.Struct("=II")  # tcpi_segs_out, tcpi_segs_in
_SEGMENTS_AT = 136


class Meter:
    """Counts the station's side; what was closed stays counted."""

    def __init__(self) -> None:
        self._broker_port = 0
        self._links: list[socket.socket] = []
        self._bytes = [0, 0]
        self._reads = [0, 0]

    def open(self, broker_port: int) -> dict[str, Any]:
        """Listen, and pass everything on to the broker."""
        self._broker_port = broker_port
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _SEGMENT_MAX)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return {"port": listener.getsockname()[1]}

    def _accept(self, listener: socket.socket) -> None:
        while True:
            station, _ = listener.accept()
            broker = socket.create_connection(("127.0.0.1", self._broker_port))
            for link in (station, broker):
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._links.append(station)
            for index, (source, target) in enumerate(((station, broker), (broker, station))):
                pump = threading.Thread(
                    target=self._pump, args=(source, target, index), daemon=True
                )
                pump.start()

    def _pump(self, source: socket.socket, target: socket.socket, index: int) -> None:
        try:
            while data := source.recv(65536):
                self._bytes[index] += len(data)
                self._reads[index] += 1
                target.sendall(data)
        except OSError:
            pass
        finally:
            target.close()

    def count(self) -> dict[str, Any]:
        """Return bytes of the streams, segments and reads since the start, both ways."""
        segments = 0
        for link in self._links:
            if link.fileno() >= 0:
                info = link.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
                segments += sum(_SEGMENTS.unpack_from(info, _SEGMENTS_AT))
        return {"bytes": sum(self._bytes), "segments": segments, "reads": sum(self._reads)}


def main() -> None:
    """Serve the bench until it closes stdin."""
    meter = Meter()
    answer_requests({"open": meter.open, "count": meter.count})


if __name__ == "__main__":
    main()
