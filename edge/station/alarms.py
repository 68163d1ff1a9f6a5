"""The station's alarms: one cause is one alarm, known by its code and its object."""

from __future__ import annotations

from uuid import UUID

import msgspec
from msgspec import Struct

from edge.journal import Delete, Put
from edge.station.effects import Effects
from shared.clock import from_ms
from shared.contracts.alarm_codes import CATALOGUE
from shared.contracts.events import AlarmCleared, AlarmRaised
from shared.ids import uuid7

KIND = "alarm"
STATION = "station"


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
        decoder = msgspec.msgpack.Decoder(OpenAlarm)
        alarms = (decoder.decode(blob) for blob in stored.values())
        self._open = {(alarm.code, alarm.object): alarm for alarm in alarms}

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
        effects.changes.append(Put(KIND, str(alarm.alarm_id), msgspec.msgpack.encode(alarm)))
        return effects

    def clear_alarm(self, code: str, subject: str, now_ms: int) -> Effects:
        """Clear an alarm whose cause is gone."""
        effects = Effects()
        alarm = self._open.pop((code, subject), None)
        if alarm is None:
            return effects
        effects.events.append(
            AlarmCleared(
                occurred_at=from_ms(now_ms), alarm_id=alarm.alarm_id, code=code, object=subject
            )
        )
        effects.changes.append(Delete(KIND, str(alarm.alarm_id)))
        return effects


def charge_point(charge_point_no: str) -> str:
    """Return the object name of a charge point."""
    return f"charge_point:{charge_point_no}"


def connector(charge_point_no: str, connector_no: int) -> str:
    """Return the object name of a connector."""
    return f"connector:{charge_point_no}:{connector_no}"
