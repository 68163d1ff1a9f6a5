"""`vw demo --port`: where HQ's pages are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from ops.cli import app
from ops.demo import cli
from ops.demo.children import DemoError
from ops.demo.hq_api import HqApi
from ops.demo.world import WEB_PORT, World


@pytest.mark.parametrize(
    ("options", "port"),
    [(["--once"], 0), (["--once", "--port", "9123"], 9123), ([], WEB_PORT)],
)
def test_the_port_is_the_one_that_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], port: int
) -> None:
    seen: list[int] = []

    async def run(_folder: Path, world: World, *_: Any, **_named: Any) -> bool:
        seen.append(world.web_port)
        return True

    monkeypatch.setattr(cli, "_once", run)
    monkeypatch.setattr(cli, "_until_told", run)
    done = CliRunner().invoke(app, ["demo", "--data", str(tmp_path / "d"), *options])
    assert (done.exit_code, seen) == (0, [port]), done.output


async def test_another_hq_on_our_port_is_said_with_the_way_out() -> None:
    answer = httpx.Response(401, json={"detail": "name or password is wrong"})
    hq = HqApi("http://127.0.0.1:8080", httpx.MockTransport(lambda _: answer))
    async with hq:
        with pytest.raises(DemoError, match=r"another program answers .*--port 0"):
            await hq.log_in("admin", "ours")
