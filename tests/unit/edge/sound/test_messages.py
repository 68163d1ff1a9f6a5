"""Every message has its recordings, and they are what a cheap sound card plays."""

from __future__ import annotations

import math
import wave
from itertools import pairwise

import pytest

from edge.sound.messages import FOLDER, MESSAGES, SILENCE, files

WAVS = sorted(FOLDER.glob("*.wav"))


@pytest.mark.parametrize("path", WAVS, ids=lambda path: path.stem)
def test_recordings_are_16_khz_mono_16_bit_and_short(path) -> None:
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        assert 0 < file.getnframes() / 16_000 < 4
        frames = file.readframes(file.getnframes())
    peak = max(abs(value) for value in memoryview(frames).cast("h"))
    assert peak < 32_767
    if path != SILENCE:
        assert peak > 0.6 * 32_767


SPOKEN = [path for path in WAVS if path.stem.endswith(("_zh", "_en"))]


@pytest.mark.parametrize("path", SPOKEN, ids=lambda path: path.stem)
def test_words_come_at_once_and_all_as_loud(path) -> None:
    with wave.open(str(path)) as file:
        values = memoryview(file.readframes(file.getnframes())).cast("h")
    heard = [index for index, value in enumerate(values) if abs(value) > 0.005 * 32_767]
    assert heard[0] < 0.03 * 16_000
    assert heard[-1] > len(values) - 0.03 * 16_000
    assert max(later - earlier for earlier, later in pairwise(heard)) < 0.5 * 16_000
    level_db = 10 * math.log10(sum(value * value for value in values) / len(values) / 32_767**2)
    assert -17 < level_db < -14


def test_all_of_them_fit_in_a_repository() -> None:
    assert sum(path.stat().st_size for path in WAVS) < 1_500_000


@pytest.mark.parametrize("message", [*MESSAGES, "a message that nobody recorded"])
@pytest.mark.parametrize(("language", "count"), [("zh", 2), ("en", 2), ("both", 4)])
def test_a_message_is_a_signal_and_words(message, language, count) -> None:
    played = files(message, language)
    assert len(played) == count
    assert all(path.is_file() for path in played)
    assert played[0].stem.startswith("signal_")
    spoken = [path.stem for path in played[1::2]]
    name = message if message in MESSAGES else "evacuate"
    wanted = ("zh", "en") if language == "both" else (language,)
    assert spoken == [f"{name}_{each}" for each in wanted]


def test_no_recording_is_left_over() -> None:
    used = {path for message in MESSAGES for path in files(message, "both")} | {SILENCE}
    assert set(WAVS) == used
