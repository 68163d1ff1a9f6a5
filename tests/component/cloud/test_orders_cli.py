"""`vw hq explain` and `vw hq reconcile` as an operator types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cloud.cli import app


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.stdout, result.stderr


def test_an_order_that_is_not_there_is_exit_3(hq_config: Path) -> None:
    code, out, err = run("explain", "no-such-order", "--config", str(hq_config))
    assert (code, out) == (3, "")
    assert "no order no-such-order" in err


def test_empty_books_agree(hq_config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VW_HQ_CONFIG", str(hq_config))
    code, out, _err = run("reconcile", "--day", "2026-11-22", "--json")
    assert (code, json.loads(out)) == (0, {"ok": True, "stations": []})


def test_a_day_that_is_none_is_exit_2(hq_config: Path) -> None:
    code, _out, err = run("reconcile", "--day", "22.11.", "--config", str(hq_config))
    assert code == 2
    assert "write it as 2026-11-22" in err
