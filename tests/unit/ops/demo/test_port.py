"""`vw demo --port`: where HQ's pages are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ops.cli import app
from ops.demo import cli
from ops.demo.world import WEB_PORT, World


@pytest.mark.parametrize(("options", "port"), [([], WEB_PORT), (["--port", "9123"], 9123)])
def test_the_port_is_the_one_that_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], port: int
) -> None:
    seen: list[int] = []

    async def once(_folder: Path, world: World, *_: Any, **_named: Any) -> bool:
        seen.append(world.web_port)
        return True

    monkeypatch.setattr(cli, "_once", once)
    done = CliRunner().invoke(app, ["demo", "--once", "--data", str(tmp_path / "d"), *options])
    assert (done.exit_code, seen) == (0, [port]), done.output
