"""Renders `edge/sound/recordings` anew: `python -m ops.sound.render`.

The recordings are kept beside the code, so a station needs neither of the two programs of
Debian's that this wants: `apt-get install espeak-ng sox`.
"""

from __future__ import annotations

import math
import shutil
import struct
import subprocess
import sys
import tempfile
import wave
from collections.abc import Callable
from pathlib import Path

from edge.sound.messages import FOLDER, MESSAGES, SILENCE

RATE = 16_000
_PEAK = 0.7
_SIGNAL_S = 0.9
_SILENCE_S = 0.1
_EDGE_S = 0.01
"""Faded in and out, so that it does not click."""
_VOICES = {"zh": ("cmn-latn-pinyin", "165"), "en": ("en-gb", "160")}


def _two_tone(second: float) -> float:
    return 960.0 if second % 0.3 < 0.15 else 770.0


def _siren(second: float) -> float:
    return 600.0 + 700.0 * (second % 0.45) / 0.45


def _chime(second: float) -> float:
    return 660.0 if second < 0.4 else 520.0


_SIGNALS: dict[str, Callable[[float], float]] = {
    "two_tone": _two_tone,
    "siren": _siren,
    "chime": _chime,
}


def _tone(frequency_hz: Callable[[float], float], *, dying: bool) -> list[float]:
    """Return a tone; its third harmonic makes a small loudspeaker carry further."""
    values, phase, count = [], 0.0, int(_SIGNAL_S * RATE)
    for index in range(count):
        second = index / RATE
        phase += 2 * math.pi * frequency_hz(second) / RATE
        edge = min(1.0, second / _EDGE_S, (count - index) / RATE / _EDGE_S)
        decay = math.exp(-4 * (second % 0.4)) if dying else 1.0
        values.append((math.sin(phase) + 0.3 * math.sin(3 * phase)) * edge * decay)
    return values


def _write(path: Path, values: list[float]) -> None:
    peak = max((abs(value) for value in values), default=0.0) or 1.0
    samples = [round(value / peak * _PEAK * 32767) for value in values]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(struct.pack(f"<{len(samples)}h", *samples))


def speak(text: str, language: str, path: Path) -> None:
    """Write `text` as speech; the same text always makes the same file."""
    voice, speed = _VOICES[language]
    trim = ["silence", "1", "0.02", "0.5%", "reverse"]
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw.wav"
        subprocess.run(["espeak-ng", "-v", voice, "-s", speed, "-w", str(raw), text], check=True)
        command = ["sox", "-D", str(raw), "-b", "16", "-c", "1", "-r", str(RATE), str(path)]
        # A compressor first: words must be understood over fans and engines.
        loud = ["gain", "-n", "-6", "compand", "0.005,0.08", "6:-50,-30,-20,-8,0,-4", "-6"]
        subprocess.run([*command, *trim, *trim, *loud, "gain", "-l", "8"], check=True)


def main() -> int:
    """Render everything; say on stderr what is missing."""
    if missing := [name for name in ("espeak-ng", "sox") if shutil.which(name) is None]:
        sys.stderr.write(f"missing: {', '.join(missing)}; apt-get install {' '.join(missing)}\n")
        return 1
    FOLDER.mkdir(exist_ok=True)
    for name, frequency_hz in _SIGNALS.items():
        _write(FOLDER / f"signal_{name}.wav", _tone(frequency_hz, dying=name == "chime"))
    _write(SILENCE, [0.0] * int(_SILENCE_S * RATE))
    for name, message in MESSAGES.items():
        speak(message.zh, "zh", FOLDER / f"{name}_zh.wav")
        speak(message.en, "en", FOLDER / f"{name}_en.wav")
    return 0


if __name__ == "__main__":
    sys.exit(main())
