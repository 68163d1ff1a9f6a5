"""`vw edge protection`: what holds can be read, and a wrong document is named."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge.cli import app
from shared.contracts.protection import Protection
from shared.protection import document_hash, load_file

RULES_MD = Path(__file__).resolve().parents[4] / "edge/safety/RULES.md"


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """Return the example of RULES.md as a file."""
    [text] = re.findall(r"```toml\n(.*?)```", RULES_MD.read_text(encoding="utf-8"), re.DOTALL)
    path = tmp_path / "protection.toml"
    path.write_text(text, encoding="utf-8")
    return path


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["protection", *arguments])
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize(
    ("language", "words"),
    [("en", ["Interlock matrix", "Smoke", "at once"]), ("zh", ["联锁矩阵", "烟雾报警", "立即"])],
)
def test_what_is_built_in_is_shown_as_tables(language: str, words: list[str]) -> None:
    code, out, err = run("show", "--language", language)
    assert code == 0
    assert all(word in out for word in words)
    assert document_hash(Protection()) in err


def test_a_document_is_shown_as_json(example: Path) -> None:
    code, out, _ = run("show", str(example), "--json")
    answer = json.loads(out)
    assert code == 0
    assert answer["sha256"] == document_hash(load_file(example))
    shown = [rule["rule_id"] for rule in answer["rules"]]
    assert shown[:3] == ["smoke", "hot-north", "smoke-silent"]
    assert sorted(shown[3:]) == ["emergency_button, always", "heat, always"]
    heat = next(row for row in answer["interlocks"] if row["code"] == "heat")
    assert heat["stops"] == "station"


def test_a_document_without_rules_still_looks_at_what_saves_lives(tmp_path: Path) -> None:
    path = tmp_path / "empty.toml"
    path.write_text("rules = []\n", encoding="utf-8")
    code, out, _ = run("show", str(path))
    assert code == 0
    assert out.count(", always") == 3


def test_the_example_of_the_manual_is_good(example: Path) -> None:
    code, out, _ = run("check", str(example))
    assert code == 0
    assert "good; 2 devices, 1 zones, 3 outputs, 5 rules" in out
    code, out, _ = run("check", str(example), "--json")
    assert json.loads(out)["sha256"] == document_hash(load_file(example))


def test_a_wrong_document_is_named(example: Path) -> None:
    text = example.read_text(encoding="utf-8").replace('zone = "north"\n', 'zone = "east"\n', 1)
    example.write_text(text, encoding="utf-8")
    for command in ("check", "show"):
        code, out, err = run(command, str(example))
        assert (code, out) == (2, "")
        assert "devices[0].zone: no zone is named 'east'" in err
