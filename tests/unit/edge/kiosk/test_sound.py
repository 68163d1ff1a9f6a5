"""Beside an alarm stands what can be heard, what should be and is not, and what comes next."""

from __future__ import annotations

import pytest
from msgspec import structs

from edge.kiosk.look import Language, Look
from edge.kiosk.paint import alarm as paint
from edge.kiosk.paint.keys import KeyHint
from edge.kiosk.views import sound
from edge.kiosk.views.alarm import alarm_screen
from edge.safety import proof
from edge.view import ChannelView, OutputView, StationView
from shared.contracts.protection import OutputKind
from tests.fakes.stations import burning, smoke

ZH, EN = Look(Language.ZH), Look(Language.EN)
SIZES = ((160, 45), (106, 30), (80, 24))
HINTS = (KeyHint("A", "Acknowledge", "acknowledge"),)


def siren(name: str, *, on: bool = True, fault: str = "") -> OutputView:
    return OutputView(
        name=name, kind=OutputKind.SIREN, ordered_on=on, reads_on=on and not fault, fault=fault
    )


def station(*outputs: OutputView, says: str = "", speaker_ok: bool = True) -> StationView:
    speaker = ChannelView(
        name=sound.SPEAKER, title_zh="扬声器", title_en="Loudspeaker", ok=speaker_ok
    )
    return structs.replace(burning(smoke()), outputs=outputs, channels=(speaker,), sound=says)


GOOD, BAD, OFF = siren("s1"), siren("s2", fault="reads back off"), siren("s1", on=False)


@pytest.mark.parametrize(
    ("view", "silenced", "text"),
    [
        (station(GOOD), False, "Siren on · until silenced: S"),
        (station(GOOD, says="fire"), False, "Siren on · loudspeaker on · until silenced: S"),
        (station(GOOD, BAD), False, "Sirens on: 1 of 2 · SIREN FAILS: s2 · until silenced: S"),
        (station(BAD), False, "SIREN FAILS: s2 · Nothing sounds here: warn people yourself"),
        (
            station(GOOD, says="fire", speaker_ok=False),
            False,
            "Siren on · LOUDSPEAKER FAILS · until silenced: S",
        ),
        (station(OFF), False, "Nothing sounds here: warn people yourself"),
        (station(), False, "Nothing sounds here: warn people yourself"),
        (station(OFF), True, "Silenced"),
        (station(GOOD), True, "Silenced for this alarm · Siren on"),
    ],
)
def test_what_can_be_heard(view: StationView, silenced: bool, text: str) -> None:
    assert sound.sound_text(smoke(silenced=silenced), view, EN) == text
    assert sound.sound_text(smoke(silenced=silenced), view, ZH).isprintable()


def test_a_loudspeaker_that_nobody_asked_does_not_fail_here() -> None:
    assert "FAILS" not in sound.sound_text(smoke(), station(GOOD, speaker_ok=False), EN)


def test_the_loudspeaker_has_the_name_that_the_agent_gives_it() -> None:
    assert sound.SPEAKER == proof.SPEAKER


def test_when_it_escalates_and_how_often_it_did() -> None:
    view = burning(smoke())
    first = sound.escalation_text(smoke(escalates_in_s=42), view, EN)
    assert first == "Not acknowledged: all sirens and the next people at HQ in 0:42"
    again = sound.escalation_text(smoke(escalates_in_s=250, escalation=2), view, ZH)
    assert again == "已升级 2 次 · 4:10 后仍无人确认: 全站警笛响, 总部升级"
    alone = structs.replace(view, system=structs.replace(view.system, hq_configured=False))
    assert "HQ" not in sound.escalation_text(smoke(escalates_in_s=42), alone, EN)
    assert sound.escalation_text(smoke(escalates_in_s=None), view, EN) == ""


@pytest.mark.parametrize("look", [ZH, EN], ids=["zh", "en"])
@pytest.mark.parametrize("size", SIZES)
def test_both_are_on_the_alarm_in_every_size(look: Look, size: tuple[int, int]) -> None:
    view = burning(smoke(escalates_in_s=42, escalation=1))
    shown = alarm_screen(view, look)
    assert shown is not None
    frame = paint.alarm(shown, look, HINTS, size)
    lines = ["".join(span.text for span in line).strip() for line in frame.lines]
    assert shown.sound in lines
    assert shown.escalation in lines


def test_of_an_agent_that_is_silent_neither_is_said() -> None:
    shown = alarm_screen(burning(smoke(escalates_in_s=42)), EN, stale=True)
    assert shown is not None
    assert (shown.sound, shown.escalation) == ("Whether anything sounds is not known", "")
