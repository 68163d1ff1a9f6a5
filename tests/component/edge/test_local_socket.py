"""The agent's local socket: what its screen is shown, and what people on site may do."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from edge import local_api
from edge.devices.sensors.reports import PointSampled
from edge.local_api import ask, watch
from edge.station.pins import FILE, hash_pin, save_file
from edge.view import StationView, TrendPoint
from ops.sim.car import Car
from shared.contracts import commands as c
from shared.contracts.protection import Pin, Quality, Quantity
from shared.contracts.words import ConnectorStatus
from tests.component.edge.agent_support import (
    CARD,
    NUMBER,
    Running,
    charge_point,
    running,
    write_config,
)

PIN = "274913"
PINS = (Pin(name="Wang", role="staff", hash=hash_pin(PIN)),)


async def view_where(views, holds) -> StationView:
    async with asyncio.timeout(10):
        async for view in views:
            if holds(view):
                return view
    raise AssertionError


def raise_alarm(station: Running, code: str, subject: str = "station") -> str:
    core = station.agent.station
    core.perform(core.alarms.raise_alarm(code, subject, core.now().wall_ms))
    return str(core.alarms.find(code, subject).alarm_id)


async def test_a_screen_sees_the_station_at_once_and_then_every_change(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    async with running(config) as station:
        await station.allow()
        async with aclosing(watch(station.data_dir / "agent.sock")) as views:
            first = await anext(views)
            assert [p.charge_point_no for p in first.charge_points] == [NUMBER]
            assert [n.label for n in first.charge_points[0].connectors] == ["01-A", "01-B"]
            assert first.starting_up
            assert first.system.listens_on == (f"127.0.0.1:{station.port}",)
            async with charge_point(station.port, tmp_path) as point:
                await point.wait_for("ready")
                point.plug_in(1, Car.seeded(1, soc=0.3))
                point.swipe_card(1, CARD)

                def charges(view: StationView) -> bool:
                    connector = view.charge_points[0].connectors[0]
                    return connector.status is ConnectorStatus.CHARGING and bool(connector.power_w)

                view = await view_where(views, charges)
                assert view.beat > first.beat
                assert view.power_w == view.charge_points[0].connectors[0].power_w
                assert not view.starting_up
                assert view.charge_points[0].firmware


async def test_an_agent_that_has_nothing_new_to_show_still_beats(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    async with (
        running(config) as station,
        aclosing(watch(station.data_dir / "agent.sock")) as views,
    ):
        await anext(views)
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        beats = [(await anext(views)).beat for _ in range(3)]
        assert beats == sorted(set(beats))
        assert loop.time() - began_s < 4


async def test_nothing_is_built_while_nobody_watches(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    async with running(config) as station:
        async with aclosing(watch(station.data_dir / "agent.sock")) as views:
            seen = await anext(views)
            feeding = station.agent.local_api._feeding
        await asyncio.wait({feeding}, timeout=5)
        assert feeding.done()
        await asyncio.sleep(0.6)
        async with aclosing(watch(station.data_dir / "agent.sock")) as views:
            assert (await anext(views)).beat <= seen.beat + 3


async def test_a_screen_that_hangs_is_dropped_within_seconds_and_others_are_not(
    tmp_path: Path,
) -> None:
    config = write_config(tmp_path)
    async with running(config) as station:
        api = station.agent.local_api
        reader, writer = await asyncio.open_unix_connection(station.data_dir / "agent.sock")
        writer.write(b'{"do": "watch"}\n')
        await reader.readline()
        reader._transport.pause_reading()
        async with aclosing(watch(station.data_dir / "agent.sock")) as views:
            async with asyncio.timeout(15):
                while not api.dropped:
                    await anext(views)
            assert api.watchers == 1
            await anext(views)
        writer.close()


async def test_who_reads_slowly_is_shown_the_newest_and_not_what_was_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_api, "BEHIND_S", 60.0)
    monkeypatch.setattr(local_api, "STEP_S", 0.001)
    monkeypatch.setattr(local_api, "BEAT_S", 0.001)
    config = write_config(tmp_path)
    async with running(config) as station:
        reader, writer = await asyncio.open_unix_connection(station.data_dir / "agent.sock")
        writer.write(b'{"do": "watch"}\n')
        await reader.readline()
        reader._transport.pause_reading()
        async with aclosing(watch(station.data_dir / "agent.sock")) as views:
            while (newest := (await anext(views)).beat) < 300:
                pass
        reader._transport.resume_reading()
        missed = 0
        while msgspec.json.decode(await reader.readline(), type=StationView).beat < newest:
            missed += 1
        assert missed < 12
        writer.close()


async def test_an_alarm_is_acknowledged_without_a_pin_and_silenced_with_one(
    tmp_path: Path,
) -> None:
    config = write_config(tmp_path)
    async with running(config) as station:
        await station.command(c.PublishPins(version=1, pins=PINS))
        alarm_id = raise_alarm(station, "storage_failed")
        async with aclosing(watch(station.data_dir / "agent.sock")) as views:
            assert (await station.ask(do="acknowledge", alarm_id=alarm_id, by="Li"))["ok"]
            refused = await station.ask(do="silence", alarm_id=alarm_id, pin="000000")
            assert refused == {
                "ok": False,
                "error": "pin: wrong, 4 tries left",
                "code": "pin_wrong",
                "values": ["4"],
            }
            quiet = await station.ask(do="silence", alarm_id=alarm_id, pin=PIN)
            assert quiet == {"ok": True, "by": "Wang"}
            view = await view_where(views, lambda v: any(a.silenced for a in v.alarms))
    (alarm,) = [a for a in view.alarms if a.alarm_id == alarm_id]
    assert alarm.acknowledged_by == "Li"
    assert alarm.place_zh == "全站"


async def test_what_changes_the_station_needs_a_pin(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    async with running(config) as station:
        station.agent.station.latches.distrust()
        alarm_id = raise_alarm(station, "clock_offset", f"charge_point:{NUMBER}")
        requests = (
            {"do": "silence", "alarm_id": alarm_id},
            {"do": "shelve", "alarm_id": alarm_id, "minutes": 10, "reason": "x"},
            {"do": "stop", "number": NUMBER, "connector": 1},
            {"do": "reset", "reason": "x"},
            {"do": "drill"},
        )
        for request in requests:
            answer = await station.ask(**request, pin="123456")
            assert "vw edge pin set" in answer["error"]
        save_file(station.data_dir / FILE, PINS)
        for request in requests:
            assert (await station.ask(**request))["error"] == "pin: needed for this"
        answers = [await station.ask(**request, pin=PIN) for request in requests]
        missed = await station.ask(do="acknowledge", alarm_id=str(uuid4()))
        assert missed["code"] == "unknown_alarm"
    assert [answer["ok"] for answer in answers] == [True, True, False, True, False]
    assert answers[2]["code"] == "offline", "no charge point has come"
    assert answers[-1]["code"] == "drill_nothing"


async def test_five_wrong_pins_lock_the_station_for_a_minute(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    async with running(config) as station:
        save_file(station.data_dir / FILE, PINS)
        alarm_id = raise_alarm(station, "storage_failed")
        tries = [station.ask(do="silence", alarm_id=alarm_id, pin="999999") for _ in range(6)]
        errors = sorted(answer["error"] for answer in await asyncio.gather(*tries))
        assert sum("locked" in error for error in errors) == 2
        right = await station.ask(do="silence", alarm_id=alarm_id, pin=PIN)
        assert "locked" in right["error"]


async def test_a_charge_is_stopped_on_site(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    async with running(config) as station:
        save_file(station.data_dir / FILE, PINS)
        await station.allow()
        async with charge_point(station.port, tmp_path) as point:
            await point.wait_for("ready")
            point.plug_in(1, Car.seeded(1, soc=0.3))
            point.swipe_card(1, CARD)
            await point.wait_for("charging", connector_no=1)
            answer = await station.ask(do="stop", number=NUMBER, connector=1, pin=PIN)
            assert answer == {"ok": True, "by": "Wang"}
            await point.wait_for("confirmed")


async def test_an_instruction_stays_until_it_is_acknowledged(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    instruction = c.Instruct(instruction_id=uuid4(), text_zh="撤离", text_en="Leave", by="HQ")
    async with running(config) as station:
        await station.command(instruction)
    async with (
        running(config) as station,
        aclosing(watch(station.data_dir / "agent.sock")) as views,
    ):
        (shown,) = (await anext(views)).instructions
        assert shown.text_zh == "撤离"
        request = {"do": "instruction", "instruction_id": shown.instruction_id, "by": "Li"}
        assert (await station.ask(**request))["ok"]
        assert (await station.ask(**request))["ok"]
        await view_where(views, lambda view: not view.instructions)


@pytest.mark.parametrize(
    "line",
    [b"[]", b'{"do": []}', b"[" * 60_000, b'{"do": "acknowledge", "alarm_id": {}}', b'"\xff"'],
)
async def test_nonsense_is_answered(tmp_path: Path, line: bytes) -> None:
    config = write_config(tmp_path)
    async with running(config) as station:
        path = station.data_dir / "agent.sock"
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(line + b"\n")
        answer = json.loads(await reader.readline())
        assert answer["code"] in ("unknown_request", "wrong_request")
        writer.close()
        assert (await ask(path, {"do": "state"}))["ok"]


async def test_who_watches_learns_at_once_that_the_agent_went_away(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    async with running(config) as station:
        views = watch(station.data_dir / "agent.sock")
        await anext(views)
    with pytest.raises(OSError, match=r"went away|reset"):
        async for _ in views:
            pass


async def test_too_many_watchers_are_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_api, "WATCHERS_MAX", 1)
    config = write_config(tmp_path)
    async with running(config) as station:
        path = station.data_dir / "agent.sock"
        async with aclosing(watch(path)) as views, aclosing(watch(path)) as more:
            await anext(views)
            with pytest.raises(ValueError, match="no view"):
                await anext(more)
            assert (await station.ask(do="watch"))["code"] == "too_many"


async def test_a_view_that_cannot_be_built_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = write_config(tmp_path)
    async with running(config) as station:
        sources = station.agent.station.screen.sources
        async with aclosing(watch(station.data_dir / "agent.sock")) as views:
            seen = await anext(views)
            good, sources.sound = sources.sound, lambda: 1 / 0
            async with asyncio.timeout(10):
                while "view not built" not in caplog.text:
                    assert (await station.ask(do="state"))["ok"]
            sources.sound = good
            assert (await anext(views)).beat > seen.beat


async def test_a_watch_over_screens_that_fails_ends_no_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = write_config(tmp_path)
    async with running(config) as station:

        def fails(_now: object) -> None:
            raise RuntimeError

        monkeypatch.setattr(station.agent.station.safety.watch, "on_screen", fails)
        async with (
            asyncio.timeout(20),
            aclosing(watch(station.data_dir / "agent.sock")) as views,
        ):
            while caplog.text.count("watch over screens failed") < 2:
                await anext(views)
        assert (await station.ask(do="state"))["ok"]


async def test_a_trend_is_asked_for(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    async with running(config) as station:
        core = station.agent.station
        for value in (20.0, 24.0):
            station.agent.bus.publish(
                PointSampled(core.now(), "t1", "temp", Quantity.TEMPERATURE_C, value, Quality.GOOD)
            )
        answer = await station.ask(do="trend", device="t1", point="temp", hours=24)
        assert answer["ok"]
        steps = [msgspec.convert(step, TrendPoint) for step in answer["steps"]]
        assert (steps[0].low, steps[-1].high) == (20.0, 24.0)
        assert (
            "hours" in (await station.ask(do="trend", device="t1", point="temp", hours=99))["error"]
        )
