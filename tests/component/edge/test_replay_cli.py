"""`vw edge replay` says what it read and what came of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edge.cli import app

HEARTBEAT = "680D0000000332010600019236010068 90".replace(" ", "")


def replay(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["replay", *arguments])


def write_frames(folder: Path) -> Path:
    day = folder / "frames" / "32010600019236" / "2026-11-22.hex"
    day.parent.mkdir(parents=True)
    day.write_text(
        f"2026-11-22T14:03:22.123456+08:00 < {HEARTBEAT}\n"
        f"2026-11-22T14:03:32.123456+08:00 < {HEARTBEAT}\n"
    )
    return folder / "frames"


def test_frames_of_which_nothing_comes_are_told(tmp_path: Path) -> None:
    done = replay(str(write_frames(tmp_path)))

    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == (
        "read 2 frames of 1 charge point, 2026-11-22T14:03:22+08:00 to 2026-11-22T14:03:32+08:00; "
        "0 transactions closed; give --config, the station's edge.toml: of a demo it says how "
        "fast the clock ran\n"
    )


def test_a_folder_without_frames_is_not_found(tmp_path: Path) -> None:
    done = replay(str(tmp_path))

    assert (done.exit_code, done.stdout) == (3, "")
    assert done.stderr == f"{tmp_path}: no frames; a station keeps them in DATA_DIR/frames\n"


def test_a_demos_configuration_says_how_it_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VW_ENV", raising=False)
    config = tmp_path / "edge.toml"
    config.write_text(
        f'[station]\nnumber = "S-1"\ndata_dir = "{tmp_path}"\n'
        "[clock]\nreal_start_ms = 0\nstart_ms = 0\nscale = 120\n"
    )
    done = replay(str(write_frames(tmp_path)), "--config", str(config))

    assert done.exit_code == 2
    assert "VW_ENV=demo" in done.stderr
