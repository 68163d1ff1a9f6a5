"""What a computer is told about itself."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from edge.health import own_addresses, read_machine


def test_its_addresses_are_its_own_and_none_is_loopback() -> None:
    for address in own_addresses():
        assert not address.startswith("127.")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.bind((address, 0))  # fails for an address of somebody else


def test_who_may_not_ask_for_networks_still_knows_its_disk_and_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> list[tuple[int, str]]:
        raise OSError("Address family not supported by protocol")

    monkeypatch.setattr(socket, "if_nameindex", fails)
    machine = read_machine(tmp_path)
    assert machine.addresses == ()
    assert machine.disk_free_bytes
    assert machine.rss_bytes
