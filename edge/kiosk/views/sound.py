"""What can be heard at the station now, and when more people are called: beside an alarm.

Said is what the outputs do, not what was wished: a siren that fails is named before whoever
stands in front of the screen relies on it.
"""

from __future__ import annotations

from edge.kiosk.look import Look
from edge.view import AlarmView, StationView
from shared.contracts.protection import OutputKind

SPEAKER = "channel:speaker"
"""The name of the loudspeaker among the safety channels."""
_MINUTE_S = 60


def sound_text(alarm: AlarmView, view: StationView, look: Look) -> str:
    """Return what sounds, what should and does not, and what a key changes of it."""
    heard, failing = _heard(view, look), _failing(view, look)
    if alarm.silenced:
        if not heard and not failing:
            return look.text("sound.silenced")
        return _listed((look.text("sound.silenced_this"), *heard, *failing), look)
    if not heard:
        return _listed((*failing, look.text("sound.nothing")), look)
    return _listed((*heard, *failing, look.text("sound.key")), look)


def _listed(parts: tuple[str, ...], look: Look) -> str:
    return f" {look.signs.bullet} ".join(parts)


def _heard(view: StationView, look: Look) -> tuple[str, ...]:
    ordered = [entry for entry in view.outputs if _is_sounding_siren(entry.kind, entry.ordered_on)]
    good = sum(not entry.fault for entry in ordered)
    heard = []
    if good:
        all_good = good == len(ordered)
        key = "sound.siren" if all_good else "sound.siren_some"
        heard.append(look.text(key, n=good, of=len(ordered)))
    if view.sound and not _speaker_fault(view):
        heard.append(look.text("sound.speaker"))
    return tuple(heard)


def _failing(view: StationView, look: Look) -> tuple[str, ...]:
    sirens = [
        entry.name
        for entry in view.outputs
        if _is_sounding_siren(entry.kind, entry.ordered_on) and entry.fault
    ]
    failing = []
    if sirens:
        failing.append(look.text("sound.siren_fails", names=", ".join(sirens)))
    if view.sound and _speaker_fault(view):
        failing.append(look.text("sound.speaker_fails"))
    return tuple(failing)


def _is_sounding_siren(kind: OutputKind, ordered_on: bool) -> bool:
    return kind is OutputKind.SIREN and ordered_on


def _speaker_fault(view: StationView) -> bool:
    return any(channel.name == SPEAKER and not channel.ok for channel in view.channels)


def escalation_text(alarm: AlarmView, view: StationView, look: Look) -> str:
    """Return what happens when nobody acknowledges, and when; "" when nothing will."""
    parts = []
    if alarm.escalation:
        parts.append(look.text("alarm.escalated", n=alarm.escalation))
    if alarm.escalates_in_s is not None:
        minutes, seconds = divmod(alarm.escalates_in_s, _MINUTE_S)
        key = "alarm.escalates" if view.system.hq_configured else "alarm.escalates_alone"
        parts.append(look.text(key, time=f"{minutes}:{seconds:02d}"))
    return _listed(tuple(parts), look)
