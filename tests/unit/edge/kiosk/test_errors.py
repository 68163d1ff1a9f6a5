"""Whatever the agent refuses at the screen, the screen can say in its own language."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.kiosk.errors import in_words
from edge.kiosk.look import Language, Look

ROOT = Path(__file__).resolve().parents[4]
SOURCES = (
    "edge/local_actions.py",
    "edge/station/pins.py",
    "edge/station/alarms.py",
    "edge/station/trends.py",
    "edge/safety/drill.py",
    "edge/safety/watch.py",
)
RAISED = {"LocalApiError", "PinError", "AlarmError", "DrillError", "ValueError"}
NOT_FROM_A_SCREEN = (
    # Reasons are chosen from a list there, and nobody types a name.
    "printable letters",
    "hours: above",
    "number, connector: which",
    ": not an id",
    # When a PIN is set, not when one is typed.
    "a PIN has",
    ".name",
    ".role",
    ".hash",
    "not a list of PINs",
)


def refusals() -> Iterator[str]:
    """Yield every text that is given to such an error; figures and names are 7."""
    for source in SOURCES:
        for node in ast.walk(ast.parse((ROOT / source).read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            if node.func.id in RAISED and node.args and (text := said(node.args[0])):
                yield text


def said(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(v.value) if isinstance(v, ast.Constant) else "7" for v in node.values)
    return ""


SHOWN = sorted({text for text in refusals() if not any(no in text for no in NOT_FROM_A_SCREEN)})


def test_there_are_refusals() -> None:
    assert len(SHOWN) > 12


@pytest.mark.parametrize("text", SHOWN)
def test_every_refusal_is_said_in_both_languages(text: str) -> None:
    zh, en = (in_words(text, Look(language=language)) for language in (Language.ZH, Language.EN))
    assert zh != text
    assert zh != en
    assert any("\u4e00" <= letter <= "\u9fff" for letter in zh)
    assert "{" not in zh + en
