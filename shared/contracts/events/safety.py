"""Facts of alarms, trips, drills and what people on site did about them."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from msgspec import Struct, field

from shared.contracts.events.root import Event, Instant
from shared.contracts.topics import Lane
from shared.contracts.words import Severity


class AlarmRaised(Event, frozen=True, kw_only=True):
    """Something is wrong. One cause is one alarm: `object` and `code` identify it.

    `object` is `station`, `charge_point:NO`, `connector:NO:N`, `zone:NAME`, `sensor:DEVICE`,
    `sensor:DEVICE/POINT`, `output:NAME` or `channel:NAME`; `params` fill the texts of the
    catalogue.
    """

    lane: ClassVar[Lane] = Lane.ALARM

    alarm_id: UUID
    code: str
    severity: Severity
    object: str
    params: dict[str, str] = field(default_factory=dict)
    drill: bool = False


class AlarmCleared(Event, frozen=True, kw_only=True):
    """The cause of an alarm is gone; `reason` is what somebody on site said who reset it (`by`).

    Without `by` it is the station's own: why it keeps an alarm no longer that nobody has ended.
    """

    lane: ClassVar[Lane] = Lane.ALARM

    alarm_id: UUID
    code: str
    object: str
    reason: str = ""
    by: str = ""


class AlarmAcknowledged(Event, frozen=True, kw_only=True):
    """Somebody saw an alarm. `by` is a name; `at_hq` says that the station was told by HQ."""

    lane: ClassVar[Lane] = Lane.ALARM

    alarm_id: UUID
    by: str
    at_hq: bool = False


class AlarmShelved(Event, frozen=True, kw_only=True):
    """An alarm is put aside until a time, at most 8 h, for a reason; `until` None takes it back."""

    lane: ClassVar[Lane] = Lane.ALARM

    alarm_id: UUID
    until: Instant | None
    reason: str
    by: str


class AlarmEscalated(Event, frozen=True, kw_only=True):
    """Nobody acknowledged a critical alarm on site in time; `level` counts from 1."""

    lane: ClassVar[Lane] = Lane.ALARM

    alarm_id: UUID
    level: int


class SirenSilenced(Event, frozen=True, kw_only=True):
    """Somebody with a PIN switched the sound of an alarm off; the alarm stands."""

    lane: ClassVar[Lane] = Lane.ALARM

    alarm_id: UUID
    by: str


class SafetyTripped(Event, frozen=True, kw_only=True):
    """The station stopped connectors by itself, or by HQ's `EmergencyStop`, and how fast.

    `stop_sent_us`: from the deciding reply to the last stop frame, None where nobody could be told;
    `zero_current_ms`: from that to the first reading below 1 A of the last connector, 0 where all
    were without current already (no later reading saw any), None while one is awaited (then the
    fact comes again, with the same `trip_id`) and where none can come. `siren_us`, `contactor_us`:
    from the deciding reply to the first coil that answered. `object` is as in `AlarmRaised`.
    """

    lane: ClassVar[Lane] = Lane.ALARM

    trip_id: UUID
    cause: str
    connectors: tuple[tuple[str, int], ...]
    stop_sent_us: int | None
    zero_current_ms: int | None = None
    drill: bool = False
    object: str = ""
    zone: str = ""
    siren_us: int | None = None
    contactors: tuple[str, ...] = ()
    contactor_us: int | None = None


class ProtectionActivated(Event, frozen=True, kw_only=True):
    """The station protects itself by this document now: HQ's `version`, 0 for its own file."""

    version: int
    sha256: str


class OutputTested(Struct, frozen=True):
    """One output in a drill. `read_back_ms` None: it did not read back; `detail` says what did."""

    name: str
    ok: bool
    read_back_ms: int | None = None
    detail: str = ""


class DrillFinished(Event, frozen=True, kw_only=True):
    """Sirens and their read-back were tried; nothing was stopped."""

    drill_id: UUID
    by: str
    outputs: tuple[OutputTested, ...]


class InstructionAcknowledged(Event, frozen=True, kw_only=True):
    """Somebody on site read what HQ asked them to do."""

    lane: ClassVar[Lane] = Lane.ALARM

    instruction_id: UUID
    by: str
