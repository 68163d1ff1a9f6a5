"""The player with a real program in its own process, which writes down what it was given."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from edge.sound.player import CommandPlayer, RecordingPlayer

SCRIPT = """
import os, sys, time
with open({log!r}, "a") as log:
    log.write(f"{{os.getpid()}} {{os.path.basename(sys.argv[1])}}\\n")
{then}
"""


class Stage:
    def __init__(self, folder: Path) -> None:
        self.log = folder / "played.log"
        self.script = folder / "play.py"

    def command(self, then: str = "") -> tuple[str, ...]:
        self.script.write_text(SCRIPT.format(log=str(self.log), then=then))
        return (sys.executable, "-S", "-E", str(self.script))

    def lines(self) -> list[list[str]]:
        return (
            [line.split() for line in self.log.read_text().splitlines()]
            if self.log.exists()
            else []
        )

    def played(self) -> list[str]:
        return [name for _, name in self.lines()]

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not holds():  # noqa: ASYNC110 - another process writes; nothing tells us
                await asyncio.sleep(0.01)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


@asynccontextmanager
async def running(player: CommandPlayer) -> AsyncIterator[None]:
    task = asyncio.create_task(player.run())
    try:
        yield
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def test_it_proves_life_with_silence_and_says_a_message_over_and_over(stage: Stage) -> None:
    player = CommandPlayer(stage.command(), pause_s=0.01)
    assert not player.alive()
    async with running(player):
        await stage.until(player.alive)
        assert stage.played() == ["silence.wav"]
        player.play("fire", "both")
        await stage.until(lambda: len(stage.played()) >= 9)
    siren = "signal_siren.wav"
    one_round = [siren, "fire_zh.wav", siren, "fire_en.wav"]
    assert stage.played()[1:9] == one_round * 2


async def test_another_message_cuts_off_the_present_one_and_stop_ends_its_process(
    stage: Stage,
) -> None:
    then = "if 'silence' not in sys.argv[1]: time.sleep(60)"
    player = CommandPlayer(stage.command(then))
    async with running(player):
        await stage.until(player.alive)
        player.play("heat", "zh")
        await stage.until(lambda: len(stage.lines()) == 2)
        player.play("heat", "zh")
        player.play("water", "zh")
        await stage.until(lambda: len(stage.lines()) == 3)
        first, second = (int(pid) for pid, _ in stage.lines()[1:])
        await stage.until(lambda: is_gone(first))
        assert stage.played()[1:] == ["signal_siren.wav", "signal_two_tone.wav"]
        player.stop()
        await stage.until(lambda: is_gone(second))
        assert player.alive()


async def test_its_end_takes_the_program_along(stage: Stage) -> None:
    then = "if 'silence' not in sys.argv[1]: time.sleep(60)"
    player = CommandPlayer(stage.command(then))
    async with running(player):
        await stage.until(player.alive)
        player.play("fire", "en")
        await stage.until(lambda: len(stage.lines()) == 2)
    assert is_gone(int(stage.lines()[-1][0]))


async def test_a_missing_program_is_not_alive(stage: Stage) -> None:
    player = CommandPlayer(("no-such-player-anywhere",))
    async with running(player):
        await stage.until(lambda: "not tried" not in player.reason)
        assert not player.alive()
        assert player.reason == "no-such-player-anywhere: not installed"


async def test_a_program_that_cannot_be_run_is_not_alive(stage: Stage, tmp_path: Path) -> None:
    nonsense = tmp_path / "nonsense"
    nonsense.write_bytes(b"\x7fELF no")
    nonsense.chmod(0o755)
    player = CommandPlayer((str(nonsense),))
    async with running(player):
        await stage.until(lambda: "not tried" not in player.reason)
        assert player.reason == f"{nonsense}: Exec format error"


async def test_a_sound_card_that_fails_is_said_and_tried_again(
    stage: Stage, tmp_path: Path
) -> None:
    card = tmp_path / "card"
    then = f"sys.exit(0 if os.path.exists({str(card)!r}) else 'audio open error: No such device')"
    player = CommandPlayer(stage.command(then), again_s=0.02, probe_s=0.02)
    async with running(player):
        await stage.until(lambda: "No such device" in player.reason)
        assert not player.alive()
        card.touch()
        await stage.until(player.alive)
        card.unlink()
        player.play("fire", "zh")
        await stage.until(lambda: not player.alive())
        card.touch()
        await stage.until(lambda: player.alive() and "fire_zh.wav" in stage.played())


async def test_a_program_that_hangs_is_killed_and_said(stage: Stage) -> None:
    player = CommandPlayer(stage.command("time.sleep(60)"), file_max_s=0.5)
    async with running(player):
        await stage.until(lambda: "still plays" in player.reason)
        assert not player.alive()
        await stage.until(lambda: is_gone(int(stage.lines()[0][0])))


def test_a_recording_player_remembers() -> None:
    player = RecordingPlayer()
    player.play("fire", "both")
    assert player.wanted == ("fire", "both")
    player.stop()
    assert player.wanted is None
    assert player.alive()
    player.reason = "no sound card"
    assert not player.alive()
