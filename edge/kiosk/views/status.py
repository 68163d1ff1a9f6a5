"""The strip below the header: the one thing that everybody must know now, and what else is so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edge.kiosk.ink import Ink
from edge.kiosk.look import Look
from edge.kiosk.views.values import by_urgency, calling, clock, is_shelved, trouble_count
from edge.view import AlarmView, StationView
from shared.contracts.words import Severity


@dataclass(frozen=True)
class StripView:
    """What the strip says, the most important first, in the ink of the first."""

    items: tuple[str, ...]
    ink: Ink


def stale_text(view: StationView, look: Look) -> str:
    """Say since when nothing is heard from the agent."""
    return look.text("strip.stale", time=clock(view, view.at_ms))


def urgent_text(view: StationView, look: Look, stale: bool) -> str:
    """Say above a dialog what the rest of the screen cannot say meanwhile, "" for nothing."""
    if stale:
        return f"{look.signs.cross} {stale_text(view, look)}"
    waiting = calling(view)
    if not waiting:
        return ""
    first, more = waiting[0], len(waiting) - 1
    text = f"{look.signs.warning} {titled(first, look)}"
    return f"{text}  +{more}" if more else text


def titled(alarm: AlarmView, look: Look) -> str:
    """Return where an alarm is and what."""
    return f"{look.pick(alarm.place_zh, alarm.place_en)} {look.title(alarm)}".strip()


def strip(view: StationView, look: Look, *, stale: bool) -> StripView:
    """Return the strip."""
    found = list(_worst_first(view, look, stale))
    count = 0 if view.starting_up else trouble_count(view)
    trouble = [look.text("strip.trouble", n=count)] if count else []
    if found:
        return StripView((*(text for text, _ in found), *trouble), found[0][1])
    if trouble:
        first = f"{look.signs.warning} {look.text('strip.no_alarms')}"
        return StripView((first, *trouble), look.palette.warn_strip)
    return StripView((f"{look.signs.tick} {look.text('strip.normal')}",), look.palette.ok_strip)


def _worst_first(view: StationView, look: Look, stale: bool) -> Iterator[tuple[str, Ink]]:
    colours, signs = look.palette, look.signs
    if stale:
        yield f"{signs.cross} {stale_text(view, look)}", colours.bad_strip
    if view.drill_running:
        yield look.text("strip.drill"), colours.drill
    yield from _alarms(view, look)
    failed = [channel for channel in view.channels if not channel.ok]
    if failed:
        names = ", ".join(look.title(channel) for channel in failed)
        yield f"{signs.warning} {look.text('strip.degraded', names=names)}", colours.warn_strip
    if view.system.journal_failed:
        yield f"{signs.warning} {look.text('strip.journal')}", colours.warn_strip
    if view.starts_refused:
        yield f"{signs.warning} {look.text('strip.no_starts')}", colours.warn_strip
    if view.system.hq_configured and not view.system.hq_connected:
        text = look.text("strip.offline", n=view.system.backlog_records)
        yield text, colours.warn_strip
    if view.starting_up:
        heard = sum(entry.online for entry in view.charge_points)
        text = look.text("strip.starting", n=len(view.charge_points), heard=heard)
        yield text, colours.info_strip


def _alarms(view: StationView, look: Look) -> Iterator[tuple[str, Ink]]:
    colours, signs = look.palette, look.signs
    open_alarms = [alarm for alarm in by_urgency(view.alarms) if not is_shelved(alarm, view.at_ms)]
    for alarm in open_alarms:
        if alarm.severity not in {Severity.CRITICAL, Severity.MAJOR}:
            continue
        text = f"{signs.warning} {titled(alarm, look)}"
        if alarm.drill:
            yield f"{look.text('alarm.drill')} {text}", colours.drill
        elif alarm.severity is Severity.MAJOR:
            yield text, colours.warn_strip
        elif not alarm.acknowledged_by:
            yield text, colours.bad_strip
        else:
            state = "strip.still_active" if alarm.active else "strip.to_reset"
            yield f"{text} ({look.text(state)})", colours.warn_strip
    lesser = sum(alarm.severity is Severity.MINOR for alarm in open_alarms)
    if lesser:
        yield look.text("strip.minor", n=lesser), colours.info_strip


def banner(view: StationView, look: Look) -> str:
    """Return HQ's oldest instruction that waits for somebody, "" when there is none."""
    if not view.instructions:
        return ""
    first = view.instructions[0]
    more = len(view.instructions) - 1
    text = f"{look.text('instruction.from_hq')}: {look.pick(first.text_zh, first.text_en)}"
    return f"{text} (+{more})" if more else text
