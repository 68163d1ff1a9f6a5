"""Webhooks over TLS: the address was chosen by us, the name is still the one that is proven."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from uuid import UUID

import pytest

from cloud.alarms.notify.messages import message_of
from cloud.alarms.notify.models import Channel, ChannelKind, Notice, NoticeKind
from cloud.alarms.notify.senders import SendError, Senders
from shared.contracts.words import Severity
from tests.component.broker.conftest import make_certificates
from tests.component.cloud.notify.servers import HttpReceiver, http_receiver

NOW = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)


def server_tls(certificates: Path, names: list[str | None]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.crt", certificates / "server.key")

    def note(_socket: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        names.append(name)

    context.sni_callback = note
    return context


async def send(receiver: HttpReceiver, ca_file: Path | None) -> None:
    channel = Channel(
        id=UUID(int=1),
        operator_id=UUID(int=2),
        name="duty",
        kind=ChannelKind.WEBHOOK,
        target=f"https://localhost:{receiver.port}/hook",
        secret="whsec_AAAA",
        created_at=NOW,
    )
    notice = Notice(
        id=UUID(int=3),
        operator_id=UUID(int=2),
        channel_id=channel.id,
        kind=NoticeKind.TEST,
        severity=Severity.INFO,
        message=message_of(NoticeKind.TEST, [], None, NOW),
        created_at=NOW,
    )
    loopback = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
    senders = Senders(allowed=loopback, mail=None, ca_file=ca_file)
    try:
        await senders.send(channel, notice, NOW)
    finally:
        await senders.close()


async def test_the_name_is_asked_for_and_proven(tmp_path: Path) -> None:
    names: list[str | None] = []
    certificates = make_certificates(tmp_path / "tls", "localhost")
    async with http_receiver(server_tls(certificates, names)) as receiver:
        await send(receiver, certificates / "ca.crt")
    assert (names, receiver.received[0].headers["host"]) == (
        ["localhost"],
        f"localhost:{receiver.port}",
    )


@pytest.mark.parametrize(("name", "believed"), [("localhost", False), ("elsewhere", True)])
async def test_nothing_goes_to_who_cannot_prove_the_name(
    tmp_path: Path, name: str, believed: bool
) -> None:
    certificates = make_certificates(tmp_path / "tls", name)
    async with http_receiver(server_tls(certificates, [])) as receiver:
        with pytest.raises(SendError, match="CERTIFICATE_VERIFY_FAILED"):
            await send(receiver, certificates / "ca.crt" if believed else None)
    assert receiver.received == []
