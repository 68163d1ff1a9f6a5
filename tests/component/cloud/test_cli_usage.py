"""What an operator types wrong at `vw hq` ends with 2, whoever finds out."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cloud.cli import app


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["create-station", "K 3/#"], "1 to 32 letters"),
        (["create-station", "K3", "--zone", "Mars/X"], "no such time zone"),
        (["create-admin", "--password-stdin"], "at least 12 characters"),
    ],
)
async def test_wrong_usage_ends_with_2(hq_config: Path, arguments: list[str], said: str) -> None:
    command = [*arguments, "--config", str(hq_config)]
    # Each command has an event loop of its own.
    done = await asyncio.to_thread(CliRunner().invoke, app, command, input="short\n")

    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr


async def test_a_number_that_is_taken_ends_with_6(hq_config: Path) -> None:
    command = ["create-station", "K3", "--config", str(hq_config)]
    codes = [
        (await asyncio.to_thread(CliRunner().invoke, app, command)).exit_code for _ in range(2)
    ]

    assert codes == [0, 6]


def test_a_worker_without_the_brokers_password_does_not_start(hq_config: Path) -> None:
    secret = hq_config.parent / "mqtt.secret"
    secret.unlink()
    done = subprocess.run(
        [sys.executable, "-m", "ops.cli", "hq", "work", "--config", str(hq_config)],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"vw hq: broker.password_file: {secret} cannot be read: No such file or directory\n"
    )
