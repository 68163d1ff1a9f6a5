"""Where webhooks may go: not into our own network, whatever name or number is written.

A name is resolved once, every address of it is checked, and the one that was checked is the one
that is connected to: a name that changes its mind in between gains nothing.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import httpx

from cloud.core.errors import BusinessError

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

_PORTS = {"https": 443, "http": 80}
_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
_HTTP = "use https; http reaches only this computer, where notify.allowed_networks has it"
_LOOK_UP_S = 3.0
_LOW_32 = (1 << 32) - 1


class ForbiddenAddressError(BusinessError):
    """A webhook's address that is not https, or leads into a network that is not allowed."""

    status = 422
    code = "forbidden_address"


def read_url(text: str) -> httpx.URL:
    """Check the form of a webhook's address. Raises ForbiddenAddressError."""
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise ForbiddenAddressError(f"not an address: {error}", field="target") from error
    if any(character.isspace() or not character.isprintable() for character in text):
        raise ForbiddenAddressError("without spaces", field="target")
    if url.scheme not in _PORTS or not url.host or not 0 < (url.port or 443) < 65_536:
        raise ForbiddenAddressError("use https://HOST/PATH", field="target")
    if url.userinfo or url.fragment:
        raise ForbiddenAddressError("without user, password and #", field="target")
    return url


async def check_target(text: str, allowed: Sequence[Network]) -> None:
    """Refuse now what would be refused at every sending; a name that nobody knows yet may pass.

    Raises:
        ForbiddenAddressError: As `read_url` and `resolve`.
    """
    url = read_url(text)
    try:
        async with asyncio.timeout(_LOOK_UP_S):
            await resolve(url, allowed)
    except OSError as error:  # a timeout is one
        if url.scheme != "https":
            raise ForbiddenAddressError(_HTTP, field="target") from error


async def resolve(url: httpx.URL, allowed: Sequence[Network]) -> list[Address]:
    """Return the addresses to connect to, in the order in which to try them.

    Raises:
        ForbiddenAddressError: One of the host's addresses is not public nor allowed, or http is
            used for anything but an allowed loopback address.
        OSError: The name cannot be resolved.
    """
    loop = asyncio.get_running_loop()
    port = url.port or _PORTS[url.scheme]
    found = await loop.getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(ip_address(info[4][0]) for info in found))
    for address in addresses:
        check_address(address, url.scheme, allowed)
    return addresses


def check_address(address: Address, scheme: str, allowed: Sequence[Network]) -> None:
    """Refuse an address that webhooks must not reach. Raises ForbiddenAddressError."""
    for real in _unwrapped(address):
        known = any(real.version == net.version and real in net for net in allowed)
        if scheme != "https" and not (real.is_loopback and known):
            raise ForbiddenAddressError(_HTTP, field="target")
        if not known and (not real.is_global or real.is_multicast or real.is_reserved):
            raise ForbiddenAddressError(
                f"{address} is not a public address, and not in notify.allowed_networks",
                field="target",
            )


def _unwrapped(address: Address) -> list[Address]:
    """Return an address and what it carries: IPv4 in IPv6, in all the ways that are routed."""
    if isinstance(address, IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    inner: list[Address] = [address]
    if address.sixtofour is not None:
        inner.append(address.sixtofour)
    if address.teredo is not None:
        inner.extend(address.teredo)
    if any(address in net for net in _NAT64):
        inner = [IPv4Address(int(address) & _LOW_32)]
    return inner
