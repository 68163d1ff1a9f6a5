"""The screen beyond alarms: what changes is seen, who acts is asked, silence shows."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec import structs

from edge.kiosk.app import IDLE_S, LANGUAGE_S, PAGE_S, KioskApp
from edge.kiosk.link import HUNG_S
from edge.kiosk.look import Language, Look
from edge.kiosk.palette import ASCII, SIXTEEN
from edge.view import StationView
from shared.clock import SystemClock
from shared.contracts.words import ConnectorStatus
from tests.component.edge.kiosk.kiosk_support import Kiosk, kiosk
from tests.fakes.agent_socket import PIN, FakeAgent
from tests.fakes.manual_clock import ManualClock
from tests.fakes.stations import (
    burning,
    calm,
    degraded,
    door,
    empty,
    instructed,
    smoke,
    starting,
)
from tests.fakes.stopwatch import Stopwatch

WALL = "WallScreen"


def clock() -> ManualClock:
    return ManualClock(datetime(2026, 11, 22, 11, 26, 28, tzinfo=UTC))


def with_status(view: StationView, status: ConnectorStatus) -> StationView:
    first = view.charge_points[0]
    connector = structs.replace(first.connectors[0], status=status)
    changed = structs.replace(first, connectors=(connector, *first.connectors[1:]))
    return structs.replace(view, charge_points=(changed, *view.charge_points[1:]))


async def test_a_change_is_seen_within_half_a_second(tmp_path: Path) -> None:
    async with kiosk(tmp_path, with_status(calm(1), ConnectorStatus.IDLE)) as screen:
        assert "离线" not in screen.text
        watch = Stopwatch()
        screen.agent.show(with_status(calm(1), ConnectorStatus.OFFLINE))
        await screen.shows("离线")
        assert watch.elapsed_s() < 0.5


async def test_only_lines_that_changed_are_painted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with kiosk(tmp_path, with_status(calm(), ConnectorStatus.IDLE)) as screen:
        canvas = screen.app.screen.query_one("Canvas")
        painted: list[int] = []
        real = canvas.refresh
        monkeypatch.setattr(
            canvas, "refresh", lambda *regions, **rest: painted.extend(
                region.y for region in regions
            ) or real(*regions, **rest)
        )  # fmt: skip
        screen.agent.show(with_status(calm(), ConnectorStatus.FAULT))
        await screen.until(lambda: bool(painted))
        # The three rows of the block, the line of figures in the header, and the strip.
        assert set(painted) <= {1, 2, 3, 5, 7, 8, 9}


@pytest.mark.parametrize("size", [(160, 45), (106, 30), (80, 24), (60, 20), (40, 10), (20, 3)])
@pytest.mark.parametrize("language", list(Language))
async def test_every_screen_opens_in_every_size(
    tmp_path: Path, size: tuple[int, int], language: Language
) -> None:
    view = burning(door(), smoke(acknowledged_by="x"))
    async with kiosk(tmp_path, view, size=size, language=language) as screen:
        for key in ("v", "r", "e", "y", "t", "f1"):
            await screen.pilot.press(key)
            await screen.until(lambda: screen.on_top != WALL and bool(screen.frame.lines))
            assert len(screen.frame.lines) == size[1]
            await screen.pilot.press("escape")
            await screen.stands_on(WALL)
        await screen.pilot.press("right", "enter")
        await screen.stands_on("DetailScreen")
        await screen.pilot.press("escape")
        screen.agent.show(burning(smoke()))
        await screen.stands_on("AlarmScreen")


async def test_it_follows_the_size_of_the_terminal(tmp_path: Path) -> None:
    async with kiosk(tmp_path, calm(), size=(160, 45)) as screen:
        for size in ((40, 10), (80, 24), (106, 30), (70, 50)):
            await screen.pilot.resize_terminal(*size)
            await screen.until(lambda size=size: len(screen.frame.lines) == size[1])


async def test_any_key_at_any_time_does_no_harm(tmp_path: Path) -> None:
    chance = random.Random(7)
    keys = [*"aslvrptueyihq0123456789", "enter", "escape", "space", "backspace", "tab", "f1",
            "up", "down", "left", "right", "pageup", "pagedown", "ctrl+q", "ctrl+c"]  # fmt: skip
    async with kiosk(tmp_path, burning(smoke(), door())) as screen:
        await screen.pilot.press(*(chance.choice(keys) for _ in range(250)))
        screen.agent.show(calm())
        screen.agent.show(burning(smoke()))
        await screen.stands_on("AlarmScreen")


async def test_a_stop_is_confirmed_and_wants_a_pin(tmp_path: Path) -> None:
    async with kiosk(tmp_path, with_status(calm(), ConnectorStatus.CHARGING)) as screen:
        await screen.touch("detail('32010600019201')")
        await screen.stands_on("DetailScreen")
        await screen.pilot.press("p")
        await screen.shows("停止 01-A 的充电?")
        await screen.pilot.press("down", "enter")
        await screen.stands_on("PinScreen")
        await screen.pilot.press("1", "1", "1", "1", "enter")
        await screen.shows("PIN 错误, 还可试 4 次")
        for digit in PIN:
            await screen.touch(f"tap('{digit}')")
        assert PIN not in screen.text
        await screen.touch("tap('enter')")
        await screen.stands_on("DetailScreen")
        assert screen.agent.requests[-1] == {
            "do": "stop", "number": "32010600019201", "connector": 1, "pin": PIN,
        }  # fmt: skip


async def test_a_stop_that_is_not_confirmed_does_not_happen(tmp_path: Path) -> None:
    async with kiosk(tmp_path, with_status(calm(1), ConnectorStatus.CHARGING)) as screen:
        await screen.pilot.press("p")
        await screen.stands_on("ChoiceScreen")
        await screen.pilot.press("1")
        await screen.shows("停止 01-A 的充电?")
        await screen.pilot.press("enter")
        await screen.stands_on(WALL)
        assert screen.agent.requests == []


async def test_a_block_is_lifted_with_place_reason_and_pin(tmp_path: Path) -> None:
    async with kiosk(tmp_path, burning(smoke(acknowledged_by="x"))) as screen:
        await screen.pilot.press("u")
        await screen.shows("03-A  告警")
        await screen.pilot.press("2")
        await screen.shows("先确认原因已排除")
        await screen.pilot.press("2")
        await screen.stands_on("PinScreen")
        await screen.pilot.press(*PIN, "enter")
        await screen.shows("✔ 已执行")
        assert screen.agent.requests[-1] == {
            "do": "reset", "number": "32010600019203", "connector": 1,
            "reason": "已修复", "pin": PIN,
        }  # fmt: skip


async def test_a_drill_wants_a_pin_and_is_marked_as_a_drill(tmp_path: Path) -> None:
    async with kiosk(tmp_path, calm()) as screen:
        await screen.pilot.press("t")
        await screen.stands_on("DrillScreen")
        await screen.pilot.press("enter")
        await screen.stands_on("PinScreen")
        await screen.pilot.press(*PIN, "enter")
        await screen.stands_on("DrillScreen")
        await screen.shows("进行中")
        await screen.pilot.press("escape")
        await screen.shows("演练进行中, 不是真实告警")
        screen.agent.show(burning(smoke(drill=True)))
        await screen.stands_on("AlarmScreen")
        await screen.shows("演练 ")


async def test_an_instruction_is_shown_once_and_acknowledged(tmp_path: Path) -> None:
    async with kiosk(tmp_path, instructed()) as screen:
        await screen.stands_on("InstructionScreen")
        await screen.shows("dispatcher Wang")
        await screen.pilot.press("escape")
        await screen.shows("总部指示: 请检查")
        assert screen.on_top == WALL
        await screen.pilot.press("i")
        await screen.stands_on("InstructionScreen")
        await screen.pilot.press("a")
        await screen.stands_on(WALL)
        assert screen.agent.requests[-1]["do"] == "instruction"
        assert screen.agent.requests[-1]["by"] == "tester"


async def test_trends_are_fetched_and_drawn(tmp_path: Path) -> None:
    async with kiosk(tmp_path, calm()) as screen:
        await screen.pilot.press("e")
        await screen.shows("最低 19.0 °C")
        assert "█" in screen.text
        assert screen.agent.requests[-1]["device"] == "room"
        await screen.pilot.press("right", "down")
        await screen.until(lambda: screen.agent.requests[-1]["device"] == "room2")
        assert screen.agent.requests[-1]["hours"] == 24


async def hang(screen: Kiosk, time: ManualClock) -> None:
    """Have the agent fall silent for 3 s: with nothing under way that is heard afterwards."""
    screen.agent.silent = True
    await screen.until(
        lambda: screen.app.station is not None and screen.app.station.beat == screen.agent.last_beat
    )
    time.advance(3)
    await screen.shows("站控无应答, 画面停在 19:26:28", patience_s=HUNG_S - 1)


async def test_an_agent_that_hangs_or_dies_shows_on_every_screen(tmp_path: Path) -> None:
    time = clock()
    async with kiosk(tmp_path, calm(), clock=time) as screen:
        await hang(screen, time)
        for key in ("v", "r", "y", "t"):
            await screen.pilot.press(key)
            await screen.shows("站控无应答")
            await screen.pilot.press("escape")
        screen.agent.silent = False
        await screen.until(lambda: "站控无应答" not in screen.text)


async def test_what_was_said_before_is_never_shown_as_news(tmp_path: Path) -> None:
    """An agent whose beat stands still says the same again, and the socket may hold old lines."""
    time = clock()
    async with kiosk(tmp_path, calm(), clock=time) as screen:
        await hang(screen, time)
        known = screen.app.station
        assert known is not None
        for seconds in (1, 61):
            again = structs.replace(known, at_ms=known.at_ms + seconds * 1000)
            screen.app._on_view(again)
            screen.app._apply()
            assert screen.app.stale
            assert "站控无应答" in screen.text
        screen.agent.silent = False
        await screen.until(lambda: "站控无应答" not in screen.text)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(111, "refused"), "没有站控应答"),
        (FileNotFoundError(2, "not there"), "systemctl status voltwarden"),
        (PermissionError(13, "denied"), "不在 voltwarden 组"),
        (ValueError("no view of the station"), "站控拒绝了屏幕: no view of the station"),
    ],
)
async def test_before_the_first_word_it_says_what_is_wrong(error: Exception, words: str) -> None:
    # A short path: a long one would break the line inside the words.
    app = KioskApp(Path("nobody.sock"), SystemClock(), look=Look(Language.ZH))
    async with app.run_test(size=(106, 30)) as pilot:
        running = Kiosk(app, pilot, FakeAgent(calm()))
        app.workers.cancel_group(app, "link")
        app._on_lost(error)
        await running.shows(words)


async def test_a_cut_line_is_made_again(tmp_path: Path) -> None:
    async with kiosk(tmp_path, calm()) as screen:
        screen.agent.cut()
        beat = screen.app.station.beat if screen.app.station else 0
        await screen.until(
            lambda: screen.app.station is not None and screen.app.station.beat > beat + 1
        )


async def test_nobody_there_brings_the_wall_back(tmp_path: Path) -> None:
    time = clock()
    async with kiosk(tmp_path, calm(), clock=time) as screen:
        await screen.pilot.press("y")
        await screen.stands_on("SystemScreen")
        time.advance(IDLE_S + 1)
        await screen.stands_on(WALL)


async def test_pages_turn_and_the_one_with_an_alarm_stays(tmp_path: Path) -> None:
    time = clock()
    async with kiosk(tmp_path, calm(24), clock=time) as screen:
        await screen.shows("第 1/2 页")
        time.advance(PAGE_S + 0.5)
        await screen.shows("第 2/2 页")
        assert "24号桩" in screen.text
        screen.agent.show(burning(smoke(acknowledged_by="x"), charge_points=24))
        await screen.shows("第 1/2 页")
        time.advance(PAGE_S + 0.5)
        await asyncio.sleep(0.3)
        await screen.shows("第 1/2 页")


async def test_the_wall_alternates_its_language_unless_an_alarm_stands(tmp_path: Path) -> None:
    time = clock()
    async with kiosk(tmp_path, calm(), clock=time, alternate=True) as screen:
        await screen.shows("无告警")
        time.advance(LANGUAGE_S + 0.5)
        await screen.shows("No alarms")
        screen.agent.show(burning(door()))
        await screen.shows("Transformer door open")
        time.advance(LANGUAGE_S + 0.5)
        await asyncio.sleep(0.3)
        await screen.shows("Transformer door open")


@pytest.mark.parametrize(
    ("view", "words"),
    [
        (starting(), "正在启动, 已连接 3/12 桩"),
        (empty(), "vw edge adopt"),
        (degraded(), "保护降级: 一号总线"),
    ],
)
async def test_states_that_are_not_ordinary(tmp_path: Path, view: StationView, words: str) -> None:
    async with kiosk(tmp_path, view) as screen:
        await screen.shows(words)


async def test_a_terminal_without_utf8_gets_english_in_ascii(tmp_path: Path) -> None:
    look = Look(Language.ZH, SIXTEEN, ASCII)
    async with kiosk(tmp_path, burning(smoke(), door()), look=look) as screen:
        await screen.stands_on("AlarmScreen")
        assert screen.text.isascii()
        await screen.sees_the_alarm()
        await screen.pilot.press("a")
        await screen.stands_on(WALL)
        for key in ("v", "r", "e", "y", "t", "f1"):
            await screen.pilot.press(key)
            await screen.until(lambda: screen.on_top != WALL)
            assert screen.text.isascii(), screen.text
            await screen.pilot.press("escape")
            await screen.stands_on(WALL)
        assert screen.text.isascii(), screen.text


async def test_what_arrives_while_it_closes_does_no_harm(tmp_path: Path) -> None:
    async with kiosk(tmp_path, calm()) as screen:
        app = screen.app
    assert app.screen_stack == []
    app._on_view(burning(smoke()))
    app._apply()
    app._step()
    app.say("late")
