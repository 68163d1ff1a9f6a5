"""The station's alarms: one cause is one alarm, known by its code and its object."""

from __future__ import annotations

from uuid import UUID

import msgspec
from msgspec import Struct

from edge.journal import Change, Delete, Put
from edge.station.effects import Effects
from edge.station.stored import decode_all
from shared.clock import from_ms
from shared.contracts.alarm_codes import CATALOGUE
from shared.contracts.events import AlarmCleared, AlarmRaised
from shared.ids import uuid7

KIND = "alarm"
STATION = "station"
_PAST = frozenset(
    {
        "charge_point_garbage",
        "duplicate_charge_point",
        "encryption_unsupported",
        "record_disputed",
        "record_foreign",
        "record_unreadable",
        "telemetry_dropped",
    }
)
"""Alarms about something that happened: over when it has not happened for a while."""
_PAST_MS = 3_600_000


class OpenAlarm(Struct, frozen=True):
    """An alarm that has been raised and not cleared."""

    alarm_id: UUID
    code: str
    object: str
    raised_ms: int


class AlarmBook:
    """Raises and clears; doing either twice changes nothing."""

    def __init__(self, stored: dict[str, bytes]) -> None:
        """Take what the journal holds under `KIND`."""
        alarms = decode_all(stored, OpenAlarm).values()
        self._open = {(alarm.code, alarm.object): alarm for alarm in alarms}
        self._again_ms: dict[tuple[str, str], int] = {}

    def open_alarms(self) -> list[OpenAlarm]:
        """Return what is raised now, oldest first."""
        return sorted(self._open.values(), key=lambda alarm: alarm.raised_ms)

    def is_open(self, code: str, subject: str) -> bool:
        """Whether this cause is raised now."""
        return (code, subject) in self._open

    def raise_alarm(self, code: str, subject: str, now_ms: int, **params: str) -> Effects:
        """Raise an alarm of the catalogue about `station`, `charge_point:NO`, `connector:NO:N`."""
        effects = Effects()
        if (code, subject) in self._open:
            self._again_ms[code, subject] = now_ms
            return effects
        alarm = OpenAlarm(uuid7(now_ms), code, subject, now_ms)
        self._open[code, subject] = alarm
        effects.events.append(
            AlarmRaised(
                occurred_at=from_ms(now_ms),
                alarm_id=alarm.alarm_id,
                code=code,
                severity=CATALOGUE[code].severity,
                object=subject,
                params=params,
            )
        )
        effects.changes.append(_stored(alarm))
        return effects

    def clear_alarm(self, code: str, subject: str, now_ms: int, reason: str = "") -> Effects:
        """Clear an alarm whose cause is gone; `reason` is given when a person says so."""
        effects = Effects()
        alarm = self._open.pop((code, subject), None)
        if alarm is None:
            return effects
        self._again_ms.pop((code, subject), None)
        effects.events.append(
            AlarmCleared(
                occurred_at=from_ms(now_ms),
                alarm_id=alarm.alarm_id,
                code=code,
                object=subject,
                reason=reason,
            )
        )
        effects.changes.append(Delete(KIND, str(alarm.alarm_id)))
        return effects

    def clear_past(self, now_ms: int) -> Effects:
        """Clear what happened once and has not happened again for an hour."""
        effects = Effects()
        for key, alarm in list(self._open.items()):
            last_ms = self._again_ms.get(key, alarm.raised_ms)
            if alarm.code in _PAST and abs(now_ms - last_ms) > _PAST_MS:
                effects.add(self.clear_alarm(alarm.code, alarm.object, now_ms))
        return effects

    def clear_all(self, charge_point_no: str, now_ms: int) -> Effects:
        """Clear everything about a charge point that is no longer ours."""
        effects = Effects()
        for code, subject in list(self._open):
            if subject.split(":")[1:2] == [charge_point_no]:
                effects.add(self.clear_alarm(code, subject, now_ms))
        return effects

    def everything(self) -> list[Change]:
        """Return the stored form of all open alarms."""
        return [_stored(alarm) for alarm in self._open.values()]


def _stored(alarm: OpenAlarm) -> Put:
    return Put(KIND, str(alarm.alarm_id), msgspec.msgpack.encode(alarm))


def charge_point(charge_point_no: str) -> str:
    """Return the object name of a charge point."""
    return f"charge_point:{charge_point_no}"


def connector(charge_point_no: str, connector_no: int) -> str:
    """Return the object name of a connector."""
    return f"connector:{charge_point_no}:{connector_no}"
