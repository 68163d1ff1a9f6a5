"""What the loudspeaker says, heard by machine: the words of the table, the tones of Chinese.

Wants Debian's espeak-ng and sox, and pocketsphinx with pocketsphinx-en-us; stations need none.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from edge.sound.messages import FOLDER, MESSAGES
from ops.sound.render import speak

# How it is said, with the tones that neighbours change (3-3 becomes 2-3): 1 high … 4 falling.
SPOKEN = {
    "fire": "yan1 wu4 bao4 jing3 qing3 li4 ji2 che4 li2",
    "heat": "gao1 wen1 bao4 jing3 qing3 li4 ji2 che4 li2",
    "evacuate": "wei1 xian3 qing3 li4 ji2 che4 li2",
    "water": "shui3 jin4 bao4 jing3 qing3 wu4 she4 shui3",
    "emergency_stop": "ji2 ting2 yi3 chu4 fa1 chong1 dian4 ting2 zhi3",
    "over_temperature": "dian4 chi2 guo4 wen1 qing2 yuan3 li2 che1 liang4",
    "door": "gao1 ya1 wei1 xian3 qing3 wu4 kao4 jin4",
    "drill": "zhe4 shi4 yan3 lian4 qing3 wu4 jing1 huang1",
}
_TONES = {"55": "1", "35": "2", "21": "3", "214": "3", "51": "4"}
# What else could have been said: a listener who guesses is right once in a hundred and more.
_OTHERS = (
    "smoke detected", "door open", "car is full", "power failure", "water level", "fire drill",
)  # fmt: skip
_OTHER_ADVICE = (
    "keep the door shut", "leave the vehicle", "keep out of the area", "charging has started",
    "stay where you are",
)  # fmt: skip


def wants(*programs: str) -> pytest.MarkDecorator:
    missing = [name for name in programs if shutil.which(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


@wants("espeak-ng", "sox")
@pytest.mark.parametrize("name", MESSAGES)
def test_the_recordings_are_what_the_table_says(name: str, tmp_path: Path) -> None:
    for language in ("zh", "en"):
        path = tmp_path / f"{name}_{language}.wav"
        speak(getattr(MESSAGES[name], language), language, path)
        assert path.read_bytes() == (FOLDER / path.name).read_bytes()


@wants("espeak-ng")
@pytest.mark.parametrize("name", MESSAGES)
def test_chinese_is_said_with_its_tones(name: str) -> None:
    said = run("espeak-ng", "-q", "-v", "cmn-latn-pinyin", "-x", MESSAGES[name].zh)
    tones = [_TONES[tone] for tone in re.findall(r"(55|35|214|21|51)[a-zA-Z]*_\|", said)]
    assert tones == re.findall(r"\d", SPOKEN[name])
    assert "(en)" not in said  # a character that it does not know is named in English


@wants("pocketsphinx_continuous")
def test_english_is_understood(tmp_path: Path) -> None:
    said = {name: [_plain(part) for part in _parts(name)] for name in MESSAGES}
    dangers = {parts[0] for parts in said.values()}.union(_OTHERS)
    advice = {parts[1] for parts in said.values() if len(parts) > 1}.union(_OTHER_ADVICE)
    grammar = tmp_path / "said.jsgf"
    grammar.write_text(
        "#JSGF V1.0;\ngrammar said;\n"
        f"public <all> = ({' | '.join(sorted(dangers))}) [{' | '.join(sorted(advice))}];\n"
    )
    heard = {
        name: run(
            "pocketsphinx_continuous", "-logfn", "/dev/null",
            "-jsgf", str(grammar), "-infile", str(FOLDER / f"{name}_en.wav"),
        ).strip()
        for name in MESSAGES
    }  # fmt: skip
    assert heard == {name: " ".join(parts) for name, parts in said.items()}


def _parts(name: str) -> list[str]:
    return [part for part in MESSAGES[name].en.split(".") if part.strip()]


def _plain(text: str) -> str:
    return re.sub(r"[^a-z ]", "", text.lower()).strip()
