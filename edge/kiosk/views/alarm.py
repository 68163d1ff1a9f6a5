"""The full-screen alarm: one big word, where, how bad, what to do."""

from __future__ import annotations

from dataclasses import dataclass

from edge.kiosk.ink import Ink
from edge.kiosk.look import Look, texts
from edge.kiosk.views.sound import escalation_text, sound_text
from edge.kiosk.views.status import stale_text
from edge.kiosk.views.values import calling, clock
from edge.view import AlarmView, StationView


@dataclass(frozen=True)
class AlarmScreenView:
    """One alarm that calls. `value` "" when the alarm has none; `warning` says that it is stale.

    `sound` says what can be heard, `escalation` what happens when nobody acknowledges.
    """

    alarm_id: str
    drill: str
    word: str
    place: str
    title: str
    value: str
    done: str
    advice: str
    queue: str
    time: str
    sound: str
    escalation: str
    button: str
    warning: str
    light: Ink
    dark: Ink
    button_ink: Ink


def alarm_screen(view: StationView, look: Look, *, stale: bool = False) -> AlarmScreenView | None:
    """Return what calls now, the worst first, or None when nothing does."""
    queue = calling(view)
    if not queue:
        return None
    alarm = queue[0]
    colours = look.palette
    return AlarmScreenView(
        alarm_id=alarm.alarm_id,
        drill=look.text("alarm.drill") if alarm.drill else "",
        word=big_word(alarm, look),
        place=_place(alarm, look),
        title=look.title(alarm),
        value=_value(alarm, look),
        done=_done(alarm, look),
        advice=look.pick(alarm.advice_zh, alarm.advice_en),
        queue=f"1/{len(queue)}",
        time=clock(view, alarm.raised_ms),
        # What an agent did that is silent now, nobody knows.
        sound=look.text("sound.unknown") if stale else sound_text(alarm, view, look),
        escalation="" if stale else escalation_text(alarm, view, look),
        button=look.text("alarm.button"),
        warning=f"{look.signs.cross} {stale_text(view, look)}" if stale else "",
        light=colours.drill if alarm.drill else colours.alarm,
        dark=colours.drill_dark if alarm.drill else colours.alarm_dark,
        button_ink=colours.button,
    )


def big_word(alarm: AlarmView, look: Look) -> str:
    """Return the word that names the danger from afar."""
    key = f"word.{alarm.code}"
    return look.text(key if key in texts() else "word.alarm")


def _place(alarm: AlarmView, look: Look) -> str:
    place = look.pick(alarm.place_zh, alarm.place_en)
    return f"{look.text('alarm.drill')} {place}" if alarm.drill else place


def _value(alarm: AlarmView, look: Look) -> str:
    if not alarm.value:
        return ""
    value, limit = look.pick(alarm.value, alarm.value), look.pick(alarm.limit, alarm.limit)
    return f"{value}  ({look.text('alarm.limit', limit=limit)})" if limit else value


def _done(alarm: AlarmView, look: Look) -> str:
    parts = []
    if alarm.stopped:
        parts.append(look.text("alarm.stopped", n=len(alarm.stopped)))
    if alarm.isolated:
        parts.append(look.text("alarm.isolated", n=len(alarm.isolated)))
    if not alarm.active:
        parts.append(look.text("alarm.cause_gone"))
    return f" {look.signs.bullet} ".join(parts)
