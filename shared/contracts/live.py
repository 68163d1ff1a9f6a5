"""The live lane: latest values for whoever looks, at most once a second, never a truth."""

from __future__ import annotations

from uuid import UUID

from msgspec import MsgspecError, Struct, msgpack

from shared.contracts.words import ConnectorStatus
from shared.errors import MalformedContractError


class LiveConnector(Struct, frozen=True, array_like=True):
    """One connector now. `None` where nothing is known; `age_ms` since the device said so."""

    charge_point_no: str
    connector_no: int
    status: ConnectorStatus
    age_ms: int
    transaction_id: UUID | None = None
    power_w: int | None = None
    voltage_dv: int | None = None
    current_da: int | None = None
    energy_dwh: int | None = None
    amount_fen: int | None = None
    soc_percent: int | None = None
    battery_temp_max_c: int | None = None
    cable_temp_c: int | None = None
    remaining_min: int | None = None


class LiveUpdate(Struct, frozen=True, array_like=True):
    """What changed since the last update, or everything at the start of a lease (`whole`)."""

    station_no: str
    at_ms: int
    whole: bool
    connectors: tuple[LiveConnector, ...]


_encoder = msgpack.Encoder()
_decoder = msgpack.Decoder(LiveUpdate)


def encode_live(update: LiveUpdate) -> bytes:
    """Return an update as sent."""
    return _encoder.encode(update)


def decode_live(data: bytes) -> LiveUpdate:
    """Read an update. Raises MalformedContractError."""
    try:
        return _decoder.decode(data)
    except (MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedContractError(str(error)) from error
