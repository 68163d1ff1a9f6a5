"""What a computer is told about itself."""

from __future__ import annotations

import socket

from edge.health import own_addresses


def test_its_addresses_are_its_own_and_none_is_loopback() -> None:
    for address in own_addresses():
        assert not address.startswith("127.")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.bind((address, 0))  # fails for an address of somebody else
