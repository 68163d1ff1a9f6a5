"""What is on the wire between station and HQ: envelopes in msgpack, bodies compressed.

An uplink batch is sealed once and never changes; `(station, epoch, lane, seq)` names it for
ever. `epoch` is new when a station's journal is created, so that a replaced disk is seen and
not taken for an old one. UUIDs travel as 16 bytes; as text they are read too. `key_id`,
`signature` and `nonce` are reserved for signed traffic.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, TypeVar
from uuid import UUID

import zstandard
from msgspec import Meta, MsgspecError, Struct, msgpack

from shared.contracts.commands import AnyCommand
from shared.contracts.events import AnyEvent
from shared.contracts.topics import Lane
from shared.errors import MalformedContractError

VERSION = 1
PACKED_MAX = 256 * 1024
"""Bytes that an envelope may have on the wire."""
UNPACKED_MAX = 4 * 1024 * 1024
"""Bytes that a body may have once decompressed; more is refused before it is unpacked."""

Instant = Annotated[datetime, Meta(tz=True)]
Whole = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""What every database between here and HQ can hold."""
T = TypeVar("T")


class Uplink(Struct, frozen=True, array_like=True):
    """One sealed batch. `body` is zstd over msgpack of events, or over a telemetry block."""

    version: int
    station_no: str
    epoch: UUID
    lane: Lane
    seq: Whole
    sealed_at_ms: Whole
    count: Whole
    body: bytes
    key_id: str = ""
    signature: bytes = b""


class Ack(Struct, frozen=True, array_like=True):
    """Exactly the batches of a station that HQ has committed, and when HQ said so."""

    version: int
    epoch: UUID
    committed: tuple[tuple[Lane, tuple[int, ...]], ...]
    hq_time_ms: int = 0


class CommandEnvelope(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One command down. Without `expires_at` it never expires."""

    version: int = VERSION
    command_id: UUID
    station_no: str
    issued_at: Instant
    expires_at: Instant | None = None
    command: AnyCommand
    key_id: str = ""
    signature: bytes = b""
    nonce: bytes = b""


class Status(Struct, frozen=True, omit_defaults=True):
    """On-line or off-line; retained, and the will of the connection. Empty batches refresh it."""

    online: bool
    at_ms: int
    epoch: UUID | None = None


V = TypeVar("V", Uplink, Ack, CommandEnvelope)


_events_decoder = msgpack.Decoder(list[AnyEvent])
_uplink_decoder = msgpack.Decoder(Uplink)
_ack_decoder = msgpack.Decoder(Ack)
_command_decoder = msgpack.Decoder(CommandEnvelope)
_status_decoder = msgpack.Decoder(Status)
_encoder = msgpack.Encoder(uuid_format="bytes")

_SMALL_MAX = 8 * 1024
"""Bytes up to which a tenth less on the link is worth five times the work: what a station sends
each minute is this small; what it sends after a week without HQ is not."""


class _Zstd(threading.local):
    """A set for each thread: they let go of the interpreter's lock while they work."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=3)
        self.for_small = zstandard.ZstdCompressor(level=12)
        self.decompressor = zstandard.ZstdDecompressor()


_zstd = _Zstd()


def encode(message: Uplink | Ack | CommandEnvelope | Status) -> bytes:
    """Return a message as sent."""
    return _encoder.encode(message)


def decode_uplink(data: bytes) -> Uplink:
    """Read an uplink batch; its body stays packed.

    Raises:
        MalformedContractError: Too large, not an envelope, or of another version.
    """
    if len(data) > PACKED_MAX:
        raise MalformedContractError(f"batch of {len(data)} bytes, at most {PACKED_MAX}")
    return _of_our_version(_decode(_uplink_decoder, data))


def decode_ack(data: bytes) -> Ack:
    """Read an acknowledgement. Raises MalformedContractError, also for another version."""
    return _of_our_version(_decode(_ack_decoder, data))


def decode_command(data: bytes) -> CommandEnvelope:
    """Read a command. Raises MalformedContractError, also for one or a version not known here."""
    return _of_our_version(_decode(_command_decoder, data))


def decode_status(data: bytes) -> Status:
    """Read a status. Raises MalformedContractError."""
    return _decode(_status_decoder, data)


def pack_events(events: Sequence[AnyEvent]) -> bytes:
    """Return events as the body of a batch."""
    return compress(_encoder.encode(events))


def unpack_events(body: bytes) -> list[AnyEvent]:
    """Read the events of a body.

    Raises:
        MalformedContractError: Not compressed as it should be, too large, or no events.
    """
    return _decode(_events_decoder, decompress(body))


def compress(data: bytes) -> bytes:
    """Return data as zstd, with its size in front so that a bomb is seen before it bursts."""
    compressor = _zstd.for_small if len(data) <= _SMALL_MAX else _zstd.compressor
    return compressor.compress(data)


def decompress(data: bytes) -> bytes:
    """Undo `compress`.

    Raises:
        MalformedContractError: Not zstd, of unstated size, or larger than `UNPACKED_MAX`.
    """
    try:
        size = zstandard.frame_content_size(data)
        if not 0 <= size <= UNPACKED_MAX:
            raise MalformedContractError(f"body unpacks to {size} bytes, at most {UNPACKED_MAX}")
        return _zstd.decompressor.decompress(data)
    except zstandard.ZstdError as error:
        raise MalformedContractError(f"body is not zstd: {error}") from error


def _of_our_version(message: V) -> V:
    if message.version != VERSION:
        raise MalformedContractError(f"version {message.version}, expected {VERSION}")
    return message


def _decode(decoder: msgpack.Decoder[T], data: bytes) -> T:
    try:
        return decoder.decode(data)
    except (MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedContractError(str(error)) from error
