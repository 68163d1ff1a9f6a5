"""The station as people on site see it: what the agent shows and its screen draws.

Plain values in the units that their names end with; texts in both languages, so that a screen
needs no catalogue. The agent sends a `StationView` whole over the local socket, at most four
times a second when something changed and at least once a second: that is its beat. JSON by
msgspec; fields are only ever added.
"""

from __future__ import annotations

from msgspec import Struct

from shared.contracts.protection import OutputKind, Quality, Quantity, Site
from shared.contracts.words import ConnectorStatus, Severity


class ConnectorView(Struct, frozen=True, kw_only=True):
    """One connector. `label` is what is painted on it, for example `03-A`.

    `blocked_by` are the causes of its latches, `isolated` says that its contactor is open,
    `stopping` that a stop waits for its proof, `plugged_in` that a vehicle is there, whatever the
    status. None: not known.
    """

    charge_point_no: str
    connector_no: int
    label: str
    status: ConnectorStatus
    age_s: float | None = None
    power_w: int | None = None
    voltage_dv: int | None = None
    current_da: int | None = None
    energy_dwh: int | None = None
    amount_fen: int | None = None
    soc_percent: int | None = None
    charged_min: int | None = None
    remaining_min: int | None = None
    battery_temp_max_c: int | None = None
    cable_temp_c: int | None = None
    cell_voltage_max_cv: int | None = None
    transaction_no: str = ""
    vin: str = ""
    faults: int = 0
    blocked_by: tuple[str, ...] = ()
    isolated: bool = False
    stopping: bool = False
    plugged_in: bool | None = None


class ChargePointView(Struct, frozen=True, kw_only=True):
    """One charge point and its connectors, in order. `label` is its number on site, `03`."""

    charge_point_no: str
    label: str
    online: bool
    connectors: tuple[ConnectorView, ...]
    firmware: str = ""


class AlarmView(Struct, frozen=True, kw_only=True):
    """One open alarm. `place_zh`, `place_en` say where in words; times are UTC milliseconds.

    `active` is false when the cause is gone and only the latch stands. `trip_*` are filled for
    what tripped: milliseconds from detection to the stop frames, the siren's coil, and from the
    stop to zero current. `escalates_in_s` counts down while nobody acknowledges; None: it will not.
    """

    alarm_id: str
    code: str
    severity: Severity
    object: str
    place_zh: str
    place_en: str
    title_zh: str
    title_en: str
    advice_zh: str
    advice_en: str
    raised_ms: int
    active: bool = True
    value: str = ""
    limit: str = ""
    acknowledged_by: str = ""
    acknowledged_ms: int | None = None
    silenced: bool = False
    shelved_until_ms: int | None = None
    shelved_reason: str = ""
    escalation: int = 0
    escalates_in_s: int | None = None
    drill: bool = False
    stopped: tuple[str, ...] = ()
    isolated: tuple[str, ...] = ()
    trip_stop_ms: float | None = None
    trip_siren_ms: float | None = None
    trip_zero_ms: int | None = None


class PointView(Struct, frozen=True, kw_only=True):
    """One sensor point. `value` is None unless `quality` is good; `stale` values keep their age."""

    device: str
    point: str
    title_zh: str
    title_en: str
    quantity: Quantity
    value: float | None
    quality: Quality
    age_s: float | None
    zone: str = ""
    is_safety: bool = False
    alarming: bool = False


class OutputView(Struct, frozen=True, kw_only=True):
    """One output: what was ordered and what reads back; `fault` says in a word what is wrong."""

    name: str
    kind: OutputKind
    ordered_on: bool
    reads_on: bool | None
    fault: str = ""


class ChannelView(Struct, frozen=True, kw_only=True):
    """One safety channel and its proof of life."""

    name: str
    title_zh: str
    title_en: str
    ok: bool
    reason: str = ""
    age_s: float | None = None


class InstructionView(Struct, frozen=True, kw_only=True):
    """What HQ asks people on site to do, until somebody acknowledged it."""

    instruction_id: str
    text_zh: str
    text_en: str
    by: str
    sent_ms: int


class SystemView(Struct, frozen=True, kw_only=True):
    """The agent itself. `protection` says which document protects: `hq 7`, `file`, `built-in`.

    `listens_on` is where charge points are to be sent, `address:port` each.
    """

    version: str
    started_ms: int
    hq_configured: bool
    hq_connected: bool
    hq_last_error: str = ""
    unacknowledged: int = 0
    backlog_records: int = 0
    journal_failed: str = ""
    disk_free_bytes: int | None = None
    clock_offset_ms: int | None = None
    protection: str = ""
    protection_sha256: str = ""
    last_drill_ms: int | None = None
    pins_set: bool = False
    rss_bytes: int | None = None
    listens_on: tuple[str, ...] = ()
    handler_failures: int = 0


class StationView(Struct, frozen=True, kw_only=True):
    """The whole station at one moment. `beat` counts up; a screen that sees none is stale.

    `degraded` are the channels that are not ok; `starts_refused` says in a word why nothing new
    may start, "" when it may.
    """

    beat: int
    at_ms: int
    station_no: str
    zone_name: str
    site: Site
    charge_points: tuple[ChargePointView, ...]
    alarms: tuple[AlarmView, ...]
    points: tuple[PointView, ...]
    outputs: tuple[OutputView, ...]
    channels: tuple[ChannelView, ...]
    instructions: tuple[InstructionView, ...]
    system: SystemView
    power_w: int = 0
    power_limit_w: int = 0
    starting_up: bool = False
    starts_refused: str = ""
    drill_running: bool = False
    sound: str = ""


class TrendPoint(Struct, frozen=True, array_like=True):
    """One step of a trend: time and the mean, lowest and highest value in it."""

    at_ms: int
    mean: float
    low: float
    high: float
