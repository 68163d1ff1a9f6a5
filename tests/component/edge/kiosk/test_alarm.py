"""The alarm takes the screen, is acknowledged in every way, and comes back when it must."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from edge.kiosk import app as app_module
from edge.kiosk.look import Language
from edge.kiosk.screens.dialogs import PinScreen
from tests.component.edge.kiosk.kiosk_support import kiosk
from tests.fakes.agent_socket import PIN
from tests.fakes.stations import HOT_ID, SMOKE_ID, burning, calm, door, hot, smoke
from tests.fakes.stopwatch import Stopwatch

ALARM, WALL = "AlarmScreen", "WallScreen"


async def test_a_critical_alarm_takes_the_screen_within_half_a_second(tmp_path: Path) -> None:
    async with kiosk(tmp_path, calm()) as screen:
        watch = Stopwatch()
        screen.agent.show(burning(smoke()))
        await screen.shows("拨打 119")
        assert watch.elapsed_s() < 0.5
        assert screen.on_top == ALARM


@pytest.mark.parametrize("key", ["a", "enter", "space"])
async def test_a_key_acknowledges(tmp_path: Path, key: str) -> None:
    async with kiosk(tmp_path, burning(smoke())) as screen:
        await screen.sees_the_alarm()
        await screen.pilot.press(key)
        await screen.stands_on(WALL)
        expected = {"do": "acknowledge", "alarm_id": SMOKE_ID, "by": "tester"}
        assert screen.agent.requests == [expected]
        await screen.shows("已确认, 仍在告警")


async def test_a_touch_acknowledges(tmp_path: Path) -> None:
    async with kiosk(tmp_path, burning(smoke())) as screen:
        await screen.sees_the_alarm()
        await screen.pilot.click(offset=(53, 26))
        await screen.stands_on(WALL)


async def test_alarms_queue_and_a_new_one_takes_the_screen_again(tmp_path: Path) -> None:
    async with kiosk(tmp_path, burning(smoke(), hot())) as screen:
        await screen.stands_on(ALARM)
        assert "1/2" in screen.text
        await screen.sees_the_alarm()
        await screen.pilot.press("a")
        await screen.shows("1/1")
        assert screen.on_top == ALARM
        await screen.sees_the_alarm()
        await screen.pilot.press("a")
        await screen.stands_on(WALL)
        third = smoke(alarm_id="0193a000-0000-7000-8000-00000000000f", place_zh="二区")
        view = screen.agent.view
        screen.agent.show(structs.replace(view, alarms=(*view.alarms, third)))
        await screen.stands_on(ALARM)


async def test_an_alarm_goes_before_whatever_is_open_and_gives_it_back(tmp_path: Path) -> None:
    async with kiosk(tmp_path, burning(hot(acknowledged_by="x"))) as screen:
        await screen.pilot.press("r")
        await screen.stands_on("ResponderScreen")
        view = screen.agent.view
        screen.agent.show(structs.replace(view, alarms=(*view.alarms, smoke())))
        await screen.sees_the_alarm()
        await screen.pilot.press("a")
        await screen.stands_on("ResponderScreen")
        await screen.pilot.press("escape")
        await screen.stands_on(WALL)
        assert len(screen.app.screen_stack) == 1


async def test_a_pin_is_typed_to_its_end_though_another_alarm_comes(tmp_path: Path) -> None:
    """The last key of it must not acknowledge what nobody saw."""
    async with kiosk(tmp_path, burning(hot(acknowledged_by="x"))) as screen:
        await screen.pilot.press("s")
        await screen.stands_on("PinScreen")
        await screen.pilot.press(*PIN[:-1])
        view = screen.agent.view
        screen.agent.show(structs.replace(view, alarms=(*view.alarms, smoke())))
        await screen.shows("▲ 一区 烟雾")
        assert screen.on_top == "PinScreen"
        await screen.pilot.press(PIN[-1], "enter")
        await screen.stands_on(ALARM)
        assert [(r["do"], r["alarm_id"]) for r in screen.agent.requests] == [("silence", HOT_ID)]
        await screen.sees_the_alarm()
        await screen.pilot.press("a")
        await screen.stands_on(WALL)


async def test_a_dialog_that_nobody_types_in_gives_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_module, "TYPING_S", 0.3)
    async with kiosk(tmp_path, calm()) as screen:
        await screen.pilot.press("t")
        await screen.stands_on("DrillScreen")
        await screen.pilot.press("t")
        await screen.stands_on("PinScreen")
        screen.agent.show(burning(smoke()))
        await screen.stands_on(ALARM)
        assert not any(isinstance(each, PinScreen) for each in screen.app.screen_stack)


async def test_what_a_pin_was_given_for_is_carried_out_though_an_alarm_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_module, "TYPING_S", 0.0)
    answered = asyncio.Event()
    async with kiosk(tmp_path, burning(hot(acknowledged_by="x"))) as screen:
        ask = screen.app.link.ask

        async def slowly(request: dict[str, Any]) -> dict[str, Any]:
            await answered.wait()
            return await ask(request)

        monkeypatch.setattr(screen.app.link, "ask", slowly)
        await screen.pilot.press("s")
        await screen.stands_on("PinScreen")
        await screen.pilot.press(*PIN, "enter")
        await screen.shows("正在执行")
        view = screen.agent.view
        screen.agent.show(structs.replace(view, alarms=(*view.alarms, smoke())))
        await screen.shows("▲ 一区 烟雾")
        assert screen.on_top == "PinScreen"
        answered.set()
        await screen.stands_on(ALARM)
        await screen.until(lambda: screen.agent.view.alarms[0].silenced)


async def test_a_key_that_meant_something_else_acknowledges_nothing(tmp_path: Path) -> None:
    async with kiosk(tmp_path, calm()) as screen:
        screen.agent.show(burning(smoke()))
        await screen.stands_on(ALARM)
        await screen.pilot.press("enter", "a", "space")
        assert screen.agent.requests == []
        await screen.sees_the_alarm()
        # A worse one takes its place between the eye and the hand.
        worse = hot(raised_ms=0)
        screen.agent.show(burning(smoke(), worse))
        await screen.shows("62.4")
        await screen.pilot.press("a")
        assert screen.agent.requests == []
        await screen.sees_the_alarm()
        await screen.pilot.press("a")
        await screen.until(lambda: bool(screen.agent.requests))
        assert screen.agent.requests[0]["alarm_id"] == HOT_ID


async def test_one_pin_silences_all_that_sounds(tmp_path: Path) -> None:
    seen = {"acknowledged_by": "x"}
    async with kiosk(tmp_path, burning(smoke(**seen), hot(**seen), door())) as screen:
        await screen.pilot.press("s")
        await screen.shows("静音: 一区 烟雾  +1")
        await screen.pilot.press(*PIN, "enter")
        await screen.stands_on(WALL)
        silenced = {alarm.alarm_id for alarm in screen.agent.view.alarms if alarm.silenced}
        assert silenced == {SMOKE_ID, HOT_ID}


async def test_what_is_not_critical_stays_in_the_strip(tmp_path: Path) -> None:
    async with kiosk(tmp_path, burning(door())) as screen:
        await screen.shows("箱变门打开")
        assert screen.on_top == WALL


async def test_an_alarm_that_ends_gives_the_screen_back(tmp_path: Path) -> None:
    async with kiosk(tmp_path, burning(smoke())) as screen:
        await screen.stands_on(ALARM)
        screen.agent.show(calm())
        await screen.stands_on(WALL)


async def test_the_first_responders_sheet_is_one_key_away(tmp_path: Path) -> None:
    async with kiosk(tmp_path, burning(hot())) as screen:
        await screen.stands_on(ALARM)
        await screen.pilot.press("r")
        await screen.stands_on("ResponderScreen")
        for words in ("03-A", "LVWDEM0000000042X", "已断电", "旋钮向左", "138 0000 0001"):
            assert words in screen.text
        await screen.pilot.press("escape")
        await screen.stands_on(ALARM)


async def test_the_language_changes_and_the_alarm_stays(tmp_path: Path) -> None:
    async with kiosk(tmp_path, burning(hot())) as screen:
        await screen.stands_on(ALARM)
        await screen.pilot.press("l")
        await screen.shows("Press A or touch here")
        assert screen.app.look.language is Language.EN
        assert screen.on_top == ALARM


async def test_to_acknowledge_does_not_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rung: list[int] = []
    async with kiosk(tmp_path, burning(smoke())) as screen:
        monkeypatch.setattr(screen.app, "bell", lambda: rung.append(1))
        await screen.until(lambda: bool(rung))
        await screen.sees_the_alarm()
        await screen.pilot.press("a")
        await screen.stands_on(WALL)
        heard = len(rung)
        await screen.until(lambda: len(rung) > heard)
        await screen.pilot.press("s")
        await screen.stands_on("PinScreen")
        await screen.pilot.press(*PIN, "enter")
        await screen.until(lambda: screen.agent.view.alarms[0].silenced)
        assert screen.agent.requests[-1]["alarm_id"] == SMOKE_ID


async def test_from_the_list_each_alarm_is_acknowledged_and_put_aside(tmp_path: Path) -> None:
    async with kiosk(tmp_path, burning(door(), hot(acknowledged_by="x"))) as screen:
        await screen.pilot.press("v")
        await screen.stands_on("AlarmListScreen")
        for words in ("紧急", "箱变", "停机指令 0.8 ms", "电流归零 2100 ms"):
            assert words in screen.text
        await screen.pilot.press("h")
        await screen.shows("紧急告警不能搁置")
        await screen.pilot.press("down", "a")
        await screen.until(lambda: bool(screen.agent.requests))
        await screen.pilot.press("h")
        await screen.stands_on("ChoiceScreen")
        await screen.pilot.press("2")
        await screen.shows("为什么搁置")
        await screen.pilot.press("down", "enter")
        await screen.stands_on("PinScreen")
        await screen.pilot.press(*PIN, "enter")
        await screen.stands_on("AlarmListScreen")
        request = screen.agent.requests[-1]
        assert (request["do"], request["minutes"], request["reason"]) == (
            "shelve", 240, "等待备件",
        )  # fmt: skip
        assert request["alarm_id"] != HOT_ID


async def test_a_dialog_that_ends_late_takes_nothing_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_module, "TYPING_S", 0.3)
    async with kiosk(tmp_path, calm()) as screen:
        await screen.pilot.press("t")
        await screen.stands_on("DrillScreen")
        await screen.pilot.press("enter")
        await screen.stands_on("PinScreen")
        dialog = screen.app.screen
        assert isinstance(dialog, PinScreen)
        screen.agent.show(burning(smoke()))
        await screen.stands_on(ALARM)
        dialog.close_with(True)
        dialog.action_back()
        assert screen.on_top == ALARM


async def test_an_alarm_that_is_not_on_the_screen_comes_back(tmp_path: Path) -> None:
    async with kiosk(tmp_path, burning(smoke())) as screen:
        await screen.stands_on(ALARM)
        screen.app.pop_screen()
        await screen.stands_on(ALARM)
