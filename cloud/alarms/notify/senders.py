"""Sending one notice over one channel. Each sender says plainly why it failed."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import logging
import smtplib
import ssl
from collections.abc import Sequence
from datetime import datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Literal
from uuid import UUID

import httpx
from msgspec import Struct

from cloud.alarms.notify.addresses import Address, ForbiddenAddressError, Network, read_url, resolve
from cloud.alarms.notify.messages import lines, subject
from cloud.alarms.notify.models import Channel, ChannelKind, Notice
from cloud.core.json import dumps
from shared.errors import VoltwardenError

logger = logging.getLogger(__name__)

SECRET_PREFIX = "whsec_"  # noqa: S105 - marks a secret, is none
TIMEOUT_S = 10.0


class SendError(VoltwardenError):
    """A notice did not arrive; the message says why, without secrets."""


class MailServer(Struct, frozen=True, kw_only=True):
    """The SMTP server that e-mails go through."""

    host: str
    port: int
    security: Literal["none", "starttls", "tls"]
    sender: str
    username: str = ""
    password: str = ""


class Senders:
    """All ways of sending; closed by whoever opened them."""

    def __init__(
        self,
        *,
        allowed: Sequence[Network],
        mail: MailServer | None,
        ca_file: Path | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """`ca_file` is believed beside the public authorities. Raises OSError."""
        self._tls = _tls_context(ca_file)
        self._allowed = allowed
        self._mail = mail
        self._timeout_s = timeout_s
        # No proxy and no redirect: the address that was checked is the one that is reached.
        self._http = httpx.AsyncClient(
            verify=self._tls,
            trust_env=False,
            follow_redirects=False,
            timeout=timeout_s,
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    async def close(self) -> None:
        """End all connections."""
        await self._http.aclose()

    async def send(self, channel: Channel, notice: Notice, now: datetime) -> None:
        """Send a notice. Raises SendError."""
        try:
            async with asyncio.timeout(self._timeout_s):
                if channel.kind is ChannelKind.WEBHOOK:
                    await self._post(channel, notice, now)
                elif channel.kind is ChannelKind.EMAIL:
                    await self._mail_to(channel, notice, now)
                else:
                    text = subject(notice.message, channel.language)
                    logger.warning("notice channel=%s text=%s", channel.name, text)
        except TimeoutError as error:
            raise SendError(f"no answer within {self._timeout_s:g} s") from error

    async def _post(self, channel: Channel, notice: Notice, now: datetime) -> None:
        try:
            url = read_url(channel.target)
            addresses = await resolve(url, self._allowed)
        except (ForbiddenAddressError, OSError) as error:
            raise SendError(f"{type(error).__name__}: {error}") from error
        body = dumps(notice.message)
        headers = {
            "Host": url.netloc.decode(),
            "Content-Type": "application/json",
            "User-Agent": "voltwarden",
            **signature(channel.secret, notice.id, int(now.timestamp()), body),
        }
        status = await self._post_to_any(addresses, url, headers, body)
        if not 200 <= status < 300:
            raise SendError(f"answered {status}")

    async def _post_to_any(
        self, addresses: Sequence[Address], url: httpx.URL, headers: dict[str, str], body: bytes
    ) -> int:
        """Return the status of the first address that can be reached: not all of a host's can."""
        refused: httpx.HTTPError | None = None
        for address in addresses:
            try:
                async with self._http.stream(
                    "POST",
                    url.copy_with(host=str(address)),
                    content=body,
                    headers=headers,
                    extensions={"sni_hostname": url.host},
                ) as answer:
                    return answer.status_code
            except httpx.ConnectError as error:
                refused = error
            except httpx.HTTPError as error:
                raise SendError(f"{type(error).__name__}: {error}") from error
        raise SendError(f"{type(refused).__name__}: {refused}") from refused

    async def _mail_to(self, channel: Channel, notice: Notice, now: datetime) -> None:
        if self._mail is None:
            raise SendError("no mail server is set: smtp.host")
        mail = _mail_of(self._mail, channel, notice, now)
        try:
            await asyncio.to_thread(_deliver, self._mail, mail, self._tls, self._timeout_s)
        except (smtplib.SMTPException, OSError) as error:
            raise SendError(f"{type(error).__name__}: {error}") from error


def signature(secret: str, notice_id: UUID, at_s: int, body: bytes) -> dict[str, str]:
    """Return the headers by which a receiver knows us (Standard Webhooks): HMAC-SHA256 over
    id, time and body. `webhook-id` is the same at every try. Pure."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = hmac.digest(key, b"%b.%d.%b" % (str(notice_id).encode(), at_s, body), hashlib.sha256)
    return {
        "webhook-id": str(notice_id),
        "webhook-timestamp": str(at_s),
        "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
    }


def _mail_of(server: MailServer, channel: Channel, notice: Notice, now: datetime) -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = server.sender
    mail["To"] = channel.target
    mail["Subject"] = subject(notice.message, channel.language)
    mail["Date"] = now
    # The same at every try, so that mail programs show it once.
    mail["Message-ID"] = f"<{notice.id}@{server.sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content("\n".join(lines(notice.message, channel.language)))
    return mail


def _deliver(server: MailServer, mail: EmailMessage, tls: ssl.SSLContext, timeout_s: float) -> None:
    if server.security == "tls":
        client: smtplib.SMTP = smtplib.SMTP_SSL(
            server.host, server.port, timeout=timeout_s, context=tls
        )
    else:
        client = smtplib.SMTP(server.host, server.port, timeout=timeout_s)
    with client:
        if server.security == "starttls":
            client.starttls(context=tls)
        if server.username:
            client.login(server.username, server.password)
        client.send_message(mail)


def _tls_context(ca_file: Path | None) -> ssl.SSLContext:
    context = httpx.create_ssl_context(trust_env=False)
    # The machine's authorities too: a company's own stand there.
    context.load_default_certs()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context
