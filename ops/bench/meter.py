"""A proxy that counts what passes, as the kernel counts it: bytes on the wire and segments.

A child of the bench, between a station and its broker. It announces an Ethernet's segment size,
because loopback's own would hide segments, and ends the station's TLS if it is given a
certificate.
"""

from __future__ import annotations

import select
import socket
import ssl
import struct
import threading
from typing import Any

from ops.bench.children import answer_requests

_SEGMENT_MAX = 1448
_TCP_INFO_SIZE = 144
_COUNTS = struct.Struct("=QQII")  # tcpi_bytes_acked, _bytes_received, _segs_out, _segs_in
_COUNTS_AT = 120
_READ_MAX = 65536


class Meter:
    """Counts the station's side of the connections that are open."""

    def __init__(self) -> None:
        self._broker_port = 0
        self._tls: ssl.SSLContext | None = None
        self._links: list[socket.socket] = []
        self._bytes = 0

    def open(self, broker_port: int, certificate: str = "") -> dict[str, Any]:
        """Listen, and pass everything on to the broker; `certificate` holds a key too."""
        self._broker_port = broker_port
        if certificate:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(certificate)
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _SEGMENT_MAX)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return {"port": listener.getsockname()[1]}

    def _accept(self, listener: socket.socket) -> None:
        while True:
            station, _ = listener.accept()
            threading.Thread(target=self._pass_on, args=(station,), daemon=True).start()

    def _pass_on(self, station: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", self._broker_port)) as broker:
            for link in (station, broker):
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                station = self._tls.wrap_socket(station, server_side=True)
            self._links.append(station)
            while self._pass_once(station, broker):
                pass
            self._links.remove(station)
            station.close()

    def _pass_once(self, station: socket.socket, broker: socket.socket) -> bool:
        for source in select.select([station, broker], [], [])[0]:
            try:
                data = source.recv(_READ_MAX)
            except ssl.SSLWantReadError:
                continue
            except OSError:
                return False
            if not data:
                return False
            self._bytes += len(data)
            (broker if source is station else station).sendall(data)
        return True

    def count(self) -> dict[str, Any]:
        """Return bytes before encryption, bytes on the wire and segments, both ways, so far."""
        wire = segments = 0
        for link in list(self._links):
            info = link.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
            sent, received, segments_out, segments_in = _COUNTS.unpack_from(info, _COUNTS_AT)
            wire += sent + received
            segments += segments_out + segments_in
        return {"bytes": self._bytes, "wire": wire, "segments": segments}


def main() -> None:
    """Serve the bench until it closes stdin."""
    meter = Meter()
    answer_requests({"open": meter.open, "count": meter.count})


if __name__ == "__main__":
    main()
