"""What the loudspeaker can say: each message's signal and its words in both languages.

The recordings beside this file are rendered from this table by `ops/sound/render.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from msgspec import Struct

Language = Literal["zh", "en", "both"]

FOLDER = Path(__file__).parent / "recordings"
SILENCE = FOLDER / "silence.wav"
"""A tenth of a second of nothing: a player that plays it is alive."""


class Message(Struct, frozen=True):
    """A signal, `siren`, `two_tone` or `chime`, and what is said after it."""

    signal: str
    zh: str
    en: str


MESSAGES = {
    "fire": Message("siren", "烟雾报警，请立即撤离", "Fire alarm. Leave the area now."),
    "heat": Message("siren", "高温报警，请立即撤离", "Heat alarm. Leave the area now."),
    "evacuate": Message("siren", "危险，请立即撤离", "Danger. Leave the area now."),
    "water": Message("two_tone", "水浸报警，请勿涉水", "Flood alarm. Keep out of the water."),
    "emergency_stop": Message(
        "two_tone", "急停已触发，充电停止", "Emergency stop. Charging has stopped."
    ),
    "over_temperature": Message(
        "two_tone", "电池过温，请远离车辆", "Battery too hot. Keep away from the vehicle."
    ),
    "door": Message("two_tone", "高压危险，请勿靠近", "High voltage. Keep away."),
    "drill": Message("chime", "这是演练，请勿惊慌", "This is a drill."),
}
GENERAL = "evacuate"
"""Said for a message that has no recording: a word too few is worse than a general one."""


def files(message: str, language: Language) -> tuple[Path, ...]:
    """Return what is played for a message once: its signal, then its words."""
    if message not in MESSAGES:
        message = GENERAL
    signal = FOLDER / f"signal_{MESSAGES[message].signal}.wav"
    languages = ("zh", "en") if language == "both" else (language,)
    return tuple(path for each in languages for path in (signal, FOLDER / f"{message}_{each}.wav"))
