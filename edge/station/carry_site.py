"""Commands of HQ about protection and people on site: documents, PINs, alarms, drills."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.safety.drill import DrillError
from edge.station.alarms import AlarmError
from edge.station.effects import Effects
from edge.station.protection import activate
from shared.clock import to_ms
from shared.contracts import commands as c
from shared.errors import CommandRejectedError, ProtectionError

if TYPE_CHECKING:
    from edge.station.core import Station

SITE_COMMANDS = (
    c.PublishProtection,
    c.PublishPins,
    c.AcknowledgeAlarm,
    c.ShelveAlarm,
    c.Instruct,
    c.StartDrill,
)


def carry_site(station: Station, command: c.AnyCommand) -> Effects:
    """Carry out one of `SITE_COMMANDS`; all of them are done at once.

    Raises:
        CommandRejectedError: With the path of the wrong field, or a word.
    """
    now = station.now()
    try:
        match command:
            case c.PublishProtection():
                return _publish_protection(station, command)
            case c.PublishPins():
                return _publish_pins(station, command)
            case c.AcknowledgeAlarm():
                return station.alarms.acknowledge(
                    command.alarm_id, command.by, now.wall_ms, at_hq=True
                )
            case c.ShelveAlarm():
                until_ms = None if command.until is None else to_ms(command.until)
                return station.alarms.shelve(
                    command.alarm_id, until_ms, command.reason, command.by, now
                )
            case c.Instruct():
                return station.instructions.put(command, now.wall_ms)
            case c.StartDrill():
                return _start_drill(station, command)
    except (AlarmError, ProtectionError, ValueError) as error:
        raise CommandRejectedError(str(error)) from error
    raise CommandRejectedError("unknown_command")


def _start_drill(station: Station, command: c.StartDrill) -> Effects:
    try:
        station.guard.start_drill(command.by)
    except DrillError as error:
        raise CommandRejectedError(error.code) from error
    return Effects()


def _publish_protection(station: Station, command: c.PublishProtection) -> Effects:
    before = station.protection.held
    effects = Effects()
    effects.changes.append(station.protection.put(command))
    if station.protection.held != before:
        effects.add(activate(station))
    return effects


def _publish_pins(station: Station, command: c.PublishPins) -> Effects:
    if command.version < station.pins.version:
        raise CommandRejectedError("older_version")
    effects = Effects()
    effects.changes.append(station.pins.put(command))
    return effects
