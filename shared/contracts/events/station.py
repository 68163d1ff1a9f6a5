"""Facts of the station itself, its charge points and what HQ asked of them."""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct

from shared.contracts.events.root import Event
from shared.contracts.words import ConnectorStatus, Outcome


class StationStarted(Event, frozen=True, kw_only=True):
    """The agent is up; `clean` is false after a crash or a power cut."""

    version: str
    clean: bool
    boot_id: UUID


class StationStateReported(Event, frozen=True, kw_only=True):
    """The whole station at one moment, sent after every (re)connection so that HQ can heal."""

    connectors: tuple[ConnectorReport, ...]
    charge_points: tuple[ChargePointReport, ...]
    open_transaction_ids: tuple[UUID, ...]
    open_alarm_ids: tuple[UUID, ...]
    access_version: int
    registry_version: int
    tariff_version_id: UUID | None = None
    pins_version: int = 0
    """Of HQ's PINs, 0 for none."""


class ConnectorReport(Struct, frozen=True, omit_defaults=True):
    """One connector inside `StationStateReported`."""

    charge_point_no: str
    connector_no: int
    status: ConnectorStatus
    transaction_id: UUID | None = None


class ChargePointReport(Struct, frozen=True, omit_defaults=True):
    """One charge point inside `StationStateReported`."""

    charge_point_no: str
    online: bool
    dialect: str
    firmware: str = ""
    connector_count: int = 0
    tariff_hash: str = ""


class ChargePointConnected(Event, frozen=True, kw_only=True):
    """A known charge point logged in."""

    charge_point_no: str
    address: str
    firmware: str
    protocol_version: str
    dialect: str
    connector_count: int
    is_dc: bool


class ChargePointLost(Event, frozen=True, kw_only=True):
    """A charge point's link is gone: closed, silent or evicted (`reason`)."""

    charge_point_no: str
    reason: str


class ChargePointQuarantined(Event, frozen=True, kw_only=True):
    """An unknown number tried to log in; it waits to be adopted."""

    charge_point_no: str
    address: str
    firmware: str


class ChargePointAdopted(Event, frozen=True, kw_only=True):
    """A charge point was added at the station itself (command line or configuration)."""

    charge_point_no: str
    connector_count: int
    dialect: str
    rated_w: int
    silence_limit_s: float = 30.0
    rounds_to_fen: bool = False


class ConnectorStatusChanged(Event, frozen=True, kw_only=True):
    """A connector does something else now. `faults` are the raw bits of the device."""

    charge_point_no: str
    connector_no: int
    status: ConnectorStatus
    plugged_in: bool
    faults: int = 0
    transaction_id: UUID | None = None


class BayLockChanged(Event, frozen=True, kw_only=True):
    """A bay lock reports: raised, lowered or between; occupied or free."""

    charge_point_no: str
    connector_no: int
    position: str
    occupied: bool
    battery_percent: int
    alarm: str = ""


class TariffConfirmed(Event, frozen=True, kw_only=True):
    """A charge point holds this tariff version."""

    charge_point_no: str
    tariff_version_id: UUID
    model_no: int
    content_hash: str


class CommandSettled(Event, frozen=True, kw_only=True):
    """How a command of HQ ended; `answer` carries data that was asked for."""

    command_id: UUID
    outcome: Outcome
    reason: str = ""
    answer: bytes = b""


class TelemetryDropped(Event, frozen=True, kw_only=True):
    """The telemetry store was at its size cap; this many of the oldest records are gone."""

    records: int
    total_records: int
