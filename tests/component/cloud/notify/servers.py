"""Receivers of notices for tests: a real HTTP server and a real SMTP server, as bad as wanted."""

from __future__ import annotations

import asyncio
import email
import email.policy
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage

import orjson


@dataclass
class Received:
    headers: dict[str, str]
    body: bytes

    @property
    def codes(self) -> list[str]:
        return [alarm["code"] for alarm in orjson.loads(self.body)["alarms"]]

    @property
    def kind(self) -> str:
        return str(orjson.loads(self.body)["type"]).removeprefix("alarm.")


@dataclass
class HttpReceiver:
    """Answers each POST with the next of `answers`, then 200, once `gate` is open.

    With `hang` it answers nothing.
    """

    answers: list[int] = field(default_factory=list)
    hang: bool = False
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    location: str = ""
    received: list[Received] = field(default_factory=list)
    port: int = 0
    _some: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            pairs = (line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
            headers = {name.lower(): value for name, value in pairs}
            body = await reader.readexactly(int(headers["content-length"]))
            async with self._some:
                self.received.append(Received(headers, body))
                self._some.notify_all()
            if self.hang:
                await reader.read()
                return
            await self.gate.wait()
            status = self.answers.pop(0) if self.answers else 200
            more = f"Location: {self.location}\r\n" if self.location else ""
            writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n{more}\r\n".encode())
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def got(self, count: int) -> list[Received]:
        async with asyncio.timeout(15), self._some:
            await self._some.wait_for(lambda: len(self.received) >= count)
        return self.received


@asynccontextmanager
async def http_receiver(tls: ssl.SSLContext | None = None) -> AsyncIterator[HttpReceiver]:
    receiver = HttpReceiver()
    receiver.gate.set()
    server = await asyncio.start_server(receiver.handle, "127.0.0.1", 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()


@dataclass
class SmtpReceiver:
    """Speaks enough SMTP for a client of the standard library; `refuse` answers 451 to RCPT."""

    refuse: bool = False
    mails: asyncio.Queue[EmailMessage] = field(default_factory=asyncio.Queue)
    port: int = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        try:
            while line := (await reader.readline()).decode().strip().upper():
                verb = line.split()[0]
                if verb == "DATA":
                    writer.write(b"354 go on\r\n")
                    raw = (await reader.readuntil(b"\r\n.\r\n"))[:-5].replace(b"\r\n..", b"\r\n.")
                    mail = email.message_from_bytes(raw, policy=email.policy.default)
                    assert isinstance(mail, EmailMessage)
                    await self.mails.put(mail)
                    writer.write(b"250 taken\r\n")
                elif verb == "QUIT":
                    writer.write(b"221 bye\r\n")
                    break
                elif verb == "RCPT" and self.refuse:
                    writer.write(b"451 not now\r\n")
                else:
                    writer.write(b"250 8BITMIME\r\n")
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def smtp_receiver() -> AsyncIterator[SmtpReceiver]:
    receiver = SmtpReceiver()
    server = await asyncio.start_server(receiver.handle, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
