"""What a charge point's driver tells the station: facts of one device, in our words and units.

Reports stay inside the station; `edge/station` turns them into the facts
of `shared.contracts.events`. Sample reports are made for every frame, so they are positional
and hold plain integers: times in UTC milliseconds, `None` for what the device did not give.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from shared.contracts.events import Record
from shared.contracts.words import Outcome, TokenKind


class Moment(Struct, frozen=True, gc=False):
    """One moment on both clocks: wall (UTC milliseconds) and monotonic (seconds)."""

    wall_ms: int
    mono_s: float


class WireState(StrEnum):
    """What a charge point itself calls a connector's state."""

    OFFLINE = "offline"
    FAULT = "fault"
    IDLE = "idle"
    CHARGING = "charging"
    UNKNOWN = "unknown"


WIRE_STATES = tuple(WireState)


class Report(Struct, frozen=True, gc=False):
    """Root of all reports. `at` is when the station received it."""

    at: Moment
    charge_point_no: str


class LoginRequested(Report, frozen=True, gc=False):
    """A number wants in over this link; answered with `wishes.DecideLogin(link_id=…)`."""

    link_id: int
    address: str
    connector_count: int
    is_dc: bool
    protocol_version: str
    firmware: str
    sim_no: str = ""
    network: int = 0
    carrier: int = 0


class LoggedIn(Report, frozen=True, gc=False):
    """A login was accepted; the first report of a number on a link."""

    link_id: int
    address: str
    connector_count: int
    is_dc: bool
    protocol_version: str
    firmware: str


class LinkLost(Report, frozen=True, gc=False):
    """A number's link is gone: `closed`, `silent`, `evicted`, `garbage` …"""

    link_id: int
    reason: str


class ConnectorSampled(Report, frozen=True, gc=False):
    """0x13: what one connector is doing. `transaction_no` is "" without a transaction.

    A report carries no time of its own, and one that was stored in an off-line time looks like
    any other. `dated` says that it cannot be a stored one: `at` is when it was so. `replayed` marks
    one that must be stored: it counts for its transaction only and never as live state.
    """

    connector_no: int
    transaction_no: str
    state: WireState
    plugged_in: bool
    voltage_dv: int
    current_da: int
    energy_dwh: int
    loss_energy_dwh: int
    amount_e4: int
    soc_percent: int
    cable_temp_c: int | None
    battery_temp_max_c: int | None
    charged_min: int
    remaining_min: int
    faults: int
    replayed: bool = False
    dated: bool = True


class BatteryIdentified(Report, frozen=True, gc=False):
    """0x15: what the vehicle says of itself."""

    connector_no: int
    transaction_no: str
    vin: str
    battery_type: int
    rated_capacity_dah: int
    rated_voltage_dv: int


class BatteryLimits(Report, frozen=True, gc=False):
    """0x17: the vehicle's own limits; `None` where it gave none."""

    connector_no: int
    transaction_no: str
    cell_voltage_max_cv: int | None
    temperature_max_c: int | None
    current_max_da: int | None
    voltage_max_dv: int | None
    nominal_energy_dkwh: int | None
    soc_permille: int | None


class BmsDemanded(Report, frozen=True, gc=False):
    """0x23: what the battery asks for and what the charge point gives; currents as magnitude."""

    connector_no: int
    transaction_no: str
    voltage_demand_dv: int
    current_demand_da: int
    charging_mode: int
    voltage_dv: int
    current_da: int
    cell_voltage_max_cv: int
    cell_group: int
    soc_percent: int
    remaining_min: int
    output_voltage_dv: int
    output_current_da: int
    charged_min: int


class BmsSampled(Report, frozen=True, gc=False):
    """0x25: battery temperatures and warnings. `status_1`, `status_2` are the raw 2-bit fields."""

    connector_no: int
    transaction_no: str
    cell_voltage_max_no: int
    battery_temp_max_c: int | None
    battery_temp_max_no: int
    battery_temp_min_c: int | None
    battery_temp_min_no: int
    status_1: int
    status_2: int


class ChargingStopped(Report, frozen=True, gc=False):
    """0x19, 0x1B, 0x1D or 0x21: the end of charging, or why; `code` is the frame type.

    0x19 alone gives the lowest and highest cell voltage at the end.
    """

    connector_no: int
    transaction_no: str
    code: int
    detail: str
    cell_voltage_min_cv: int | None = None
    cell_voltage_max_cv: int | None = None


class StartRequested(Report, frozen=True, gc=False):
    """0x31 or 0xA1: somebody at the charge point wants to charge.

    Answered within 100 ms, or after HQ was asked, by `wishes.AnswerStart` with this `request_no`.
    `password` is the 16 characters that the charge point sends, "" without one.
    """

    connector_no: int
    request_no: int
    token_kind: TokenKind
    token: str
    password: str
    parallel_no: str
    is_main: bool
    raw: bytes


class StartAnswered(Report, frozen=True, gc=False):
    """0x33 or 0xA3: how a remote start went. May come twice: refused, then plugged in."""

    connector_no: int
    transaction_no: str
    started: bool
    reason: int
    raw: bytes


class StopAnswered(Report, frozen=True, gc=False):
    """0x35: how a remote stop went; believed only when the current is gone."""

    connector_no: int
    stopped: bool
    reason: int


class RecordReceived(Report, frozen=True, gc=False):
    """0x3B: the account of a transaction. Confirmed to the device only after our commit.

    `token` goes back with `Connection.committed` once the station has stored what it made of it.
    """

    record: Record
    raw: bytes
    token: int
    clock_suspect: bool


class TariffHeld(Report, frozen=True, gc=False):
    """The charge point holds the tariff that hashes to `content_hash`."""

    model_no: int
    content_hash: str


class TariffNotHeld(Report, frozen=True, gc=False):
    """The charge point did not take its tariff after all retries, or refused it."""

    model_no: int
    reason: str


class ClockRead(Report, frozen=True, gc=False):
    """0x55: the charge point's clock, `offset_ms` ahead of ours; None when it is no time."""

    offset_ms: int | None


class BayLockReported(Report, frozen=True, gc=False):
    """0x61: a bay lock. `position` is `raised`, `lowered` or `between`."""

    connector_no: int
    position: str
    occupied: bool
    battery_percent: int
    alarm: str


class FrameSent(Report, frozen=True, gc=False):
    """A frame that bills are proved with went out: 0x32, 0x34, 0x36, 0x40, 0xA2 or 0xA4.

    `transaction_no` is "" for 0x36, which carries none; `connector_no` is 0 for 0x40.
    """

    connector_no: int
    transaction_no: str
    code: int
    raw: bytes


class WishSettled(Report, frozen=True, gc=False):
    """How a wish with an answer ended; `answer` is what the device said, as JSON."""

    wish_no: int
    outcome: Outcome
    reason: str
    answer: bytes = b""


class Complained(Report, frozen=True, gc=False):
    """Input that was counted and dropped; `code` is one word, `charge_point_no` may be ""."""

    link_id: int
    code: str
    detail: str


AnyReport = (
    LoginRequested
    | LoggedIn
    | LinkLost
    | ConnectorSampled
    | BatteryIdentified
    | BatteryLimits
    | BmsDemanded
    | BmsSampled
    | ChargingStopped
    | StartRequested
    | StartAnswered
    | StopAnswered
    | RecordReceived
    | TariffHeld
    | TariffNotHeld
    | ClockRead
    | BayLockReported
    | FrameSent
    | WishSettled
    | Complained
)
