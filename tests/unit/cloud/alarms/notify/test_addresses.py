"""Webhooks lead nowhere inside, however an address is written."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address, ip_network

import httpx
import pytest

from cloud.alarms.notify.addresses import (
    ForbiddenAddressError,
    check_address,
    read_url,
    resolve,
)

LOOPBACK = (ip_network("127.0.0.0/8"),)
INSIDE = (
    "127.0.0.1",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.2.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::a00:1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2001:0:53aa:64c:0:0:f5ff:fffe",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "ff02::1",
)


@pytest.mark.parametrize("text", INSIDE)
def test_what_is_inside_is_refused(text: str) -> None:
    with pytest.raises(ForbiddenAddressError):
        check_address(ip_address(text), "https", ())


@pytest.mark.parametrize("text", ["1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1"])
def test_what_is_public_is_let_through_with_https_only(text: str) -> None:
    check_address(ip_address(text), "https", ())
    with pytest.raises(ForbiddenAddressError):
        check_address(ip_address(text), "http", LOOPBACK)


def test_a_network_that_the_settings_allow_is_let_through() -> None:
    check_address(ip_address("10.1.2.3"), "https", (ip_network("10.1.0.0/16"),))
    check_address(ip_address("127.0.0.1"), "http", LOOPBACK)
    check_address(ip_address("::ffff:127.0.0.1"), "http", LOOPBACK)
    for address, scheme in (("10.1.2.3", "http"), ("10.2.0.1", "https")):
        with pytest.raises(ForbiddenAddressError):
            check_address(ip_address(address), scheme, (ip_network("10.1.0.0/16"),))


@pytest.mark.parametrize(
    "text",
    [
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "//example.com/",
        "example.com",
        "https://",
        "https://user:pw@example.com/",
        "https://example.com/#x",
        "https://exa mple.com/",
        "https://example.com:99999/",
        "",
    ],
)
def test_only_plain_addresses_are_read(text: str) -> None:
    with pytest.raises(ForbiddenAddressError):
        read_url(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://localhost/",
        "https://[::1]/",
        "https://[::ffff:7f00:1]/",
        "https://127.0.0.1.:8080/",
    ],
)
async def test_tricks_with_numbers_and_names_end_at_the_same_check(text: str) -> None:
    with pytest.raises((ForbiddenAddressError, OSError)):
        await resolve(read_url(text), ())


async def test_what_is_connected_to_is_what_was_checked() -> None:
    found = await resolve(httpx.URL("http://127.0.0.1:99/x"), LOOPBACK)
    assert [str(address) for address in found] == ["127.0.0.1"]


async def test_one_address_inside_among_public_ones_is_enough_to_refuse(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def two(*_args: object, **_kwargs: object) -> list[tuple[object, ...]]:
        return [(0, 0, 0, "", (address, 443)) for address in ("1.1.1.1", "10.0.0.1")]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", two)
    with pytest.raises(ForbiddenAddressError):
        await resolve(read_url("https://rebound.example/"), ())
