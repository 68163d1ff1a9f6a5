"""Whatever the agent refuses at the screen, the screen can say in its own language."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge import local_api
from edge.kiosk.errors import in_words
from edge.kiosk.look import Language, Look, texts

ROOT = Path(__file__).resolve().parents[4]
SOURCES = (
    "edge/local_api.py",
    "edge/local_actions.py",
    "edge/local_requests.py",
    "edge/station/pins.py",
    "edge/station/alarms.py",
    "edge/safety/drill.py",
    "edge/safety/watch.py",
)
RAISED = {"LocalApiError", "PinError", "AlarmError", "DrillError", "_refusal"}


def refusals() -> Iterator[tuple[str, int]]:
    """Yield the code of every refusal, and how many values it comes with."""
    for source in SOURCES:
        for node in ast.walk(ast.parse((ROOT / source).read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            if node.func.id in RAISED and (code := code_of(node.args[0])):
                yield code, len(node.args) - 2


def code_of(node: ast.expr) -> str:
    """Return a code as it is written; "" where a refusal is only handed on."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    return str(getattr(local_api, node.id)) if isinstance(node, ast.Name) else ""


REFUSALS = sorted(set(refusals()))


def test_there_are_refusals_and_a_text_for_no_other() -> None:
    codes = {code for code, _ in REFUSALS}
    assert len(codes) > 15
    assert codes == {key.partition(".")[2] for key in texts() if key.startswith("error.")}


@pytest.mark.parametrize(("code", "values"), REFUSALS)
def test_every_refusal_is_said_in_both_languages(code: str, values: int) -> None:
    answer = {"error": "as the agent says", "code": code, "values": list("123456"[:values])}
    zh, en = (in_words(answer, Look(language)) for language in (Language.ZH, Language.EN))
    assert answer["error"] not in (zh, en)
    assert any("\u4e00" <= letter <= "\u9fff" for letter in zh)
    assert en.isascii()
    assert "{" not in zh + en


@pytest.mark.parametrize(
    ("answer", "zh"),
    [
        ({"error": "x", "code": "pin_wrong", "values": ["3"]}, "PIN 错误, 还可试 3 次"),
        ({"error": "x", "code": "pin_locked", "values": ["31"]}, "PIN 已锁定 31 秒"),
        ({"error": "x", "code": "pin_role", "values": ["Li\x1b"]}, "Li 的权限不够"),
        ({"error": "x", "code": "unknown_alarm"}, "告警已不在"),
        ({"ok": False, "error": ""}, "站控无应答"),
        # Of agents of other versions.
        ({"error": "something new", "code": "new", "values": ["1"]}, "something new"),
        ({"error": "something old"}, "something old"),
        ({"error": "other values", "code": "pin_wrong", "values": []}, "other values"),
        ({"error": "no values", "code": "pin_wrong", "values": None}, "no values"),
    ],
)
def test_refusals_are_in_the_language_of_the_screen(answer: dict[str, object], zh: str) -> None:
    assert in_words(answer, Look(Language.ZH)) == zh
