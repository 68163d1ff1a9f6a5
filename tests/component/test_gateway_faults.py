"""The gateway against bad peers: each is dealt with, and nobody else notices."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Any

import pytest

from edge.devices.chargers import reports, wishes
from edge.devices.chargers.gateway import READ_SLICE
from edge.devices.chargers.protocol import Received
from edge.devices.chargers.reports import Moment
from edge.devices.chargers.timing import FAST, Timing
from edge.devices.chargers.ykc import messages
from edge.devices.chargers.ykc.connection import YkcConnection
from tests.component.gateway_support import (
    NUMBER,
    OTHER,
    TX,
    Charger,
    Station,
    frame,
    login,
    realtime,
)

QUICK = Timing(answer_s=0.3, silence_min_s=0.1, login_s=0.5, probe_s=0.3, tick_s=0.1, linger_s=0.2)
ELSEWHERE = "127.0.0.2"


async def test_garbage_between_frames_loses_no_frame() -> None:
    async with Station() as station, Charger(station.port) as charger:
        await charger.log_in()
        charger.send(b"\x00\x11" + frame(realtime()) + b"\x67\x05" + frame(realtime()) + b"\xff")
        charger.send(realtime())
        await station.wait_for(reports.ConnectorSampled, 3)
        assert {each.code for each in station.of(reports.Complained)} == {"garbage"}
        assert b"\x00\x11" in [raw for _, way, raw in station.log.lines if way == "!"]


async def test_one_byte_at_a_time_and_glued() -> None:
    async with Station() as station, Charger(station.port) as charger:
        for byte in frame(login()):
            charger.send(bytes((byte,)))
            await charger.writer.drain()
            await asyncio.sleep(0)
        assert (await charger.expect(messages.LoginAnswer)).result == 0
        charger.send(*[realtime()] * 5, messages.Heartbeat(NUMBER, 1, 0))
        await charger.expect(messages.HeartbeatAnswer)
        assert len(station.of(reports.ConnectorSampled)) == 5


async def test_too_much_garbage_closes_the_link() -> None:
    async with Station() as station, Charger(station.port) as charger:
        await charger.log_in()
        bad = frame(realtime())[:-1] + b"\x00"
        # Good frames between, so that each bad one counts by itself.
        charger.send(*[bad, frame(realtime())] * 25)
        await charger.closed()
        (lost,) = await station.wait_for(reports.LinkLost)
        assert lost.reason == "garbage"
        assert "too_many_bad_frames" in {each.code for each in station.of(reports.Complained)}


@pytest.mark.parametrize("slowly", [b"", b"\x68\x22\x00\x00\x00\x01"])
async def test_a_peer_that_never_logs_in_is_closed(slowly: bytes) -> None:
    async with Station(QUICK) as station, Charger(station.port) as charger:
        charger.send(slowly)
        await charger.closed()
        assert station.gateway.link_count() == 0


async def test_a_silent_charge_point_is_lost_and_may_come_back() -> None:
    async with Station(QUICK) as station, Charger(station.port) as charger:
        station.adopt(NUMBER, silence_limit_s=0.4)
        await charger.log_in()
        await charger.closed()
        (lost,) = await station.wait_for(reports.LinkLost)
        assert (lost.reason, lost.charge_point_no) == ("silent", NUMBER)
        assert not station.gateway.send(wishes.StopRemotely(charge_point_no=NUMBER, connector_no=1))
        async with Charger(station.port) as again:
            await again.log_in()
            assert station.gateway.connected() == (NUMBER,)


async def test_a_new_login_from_the_same_address_evicts_the_old_at_once() -> None:
    async with Station() as station, Charger(station.port) as old, Charger(station.port) as new:
        await old.log_in()
        await new.log_in()
        await old.closed()
        kinds = [
            (type(each), getattr(each, "reason", ""))
            for each in station.reports
            if isinstance(each, reports.LoggedIn | reports.LinkLost)
        ]
        assert kinds == [
            (reports.LoggedIn, ""),
            (reports.LinkLost, "evicted"),
            (reports.LoggedIn, ""),
        ]
        # The old link's late end has not touched the new one.
        assert station.gateway.connected() == (NUMBER,)
        station.gateway.send(wishes.StopRemotely(charge_point_no=NUMBER, connector_no=1))
        await new.expect(messages.RemoteStop)


async def test_a_second_device_with_the_number_is_refused_while_the_first_lives() -> None:
    async with (
        Station(FAST) as station,
        Charger(station.port) as first,
        Charger(station.port, ELSEWHERE) as second,
    ):
        await first.log_in()
        await first.expect(messages.ReadRealtime)
        await first.expect(messages.ReadRealtime)
        second.send(login())
        await first.expect(messages.ReadRealtime)  # are you there?
        first.send(realtime())
        assert (await second.expect(messages.LoginAnswer)).result == 1
        await second.closed()
        (complaint,) = [e for e in station.of(reports.Complained) if e.code == "duplicate"]
        assert (complaint.charge_point_no, complaint.detail) == (NUMBER, ELSEWHERE)
        assert not station.of(reports.LinkLost)
        first.send(messages.Heartbeat(NUMBER, 1, 0))
        await first.expect(messages.HeartbeatAnswer)


async def test_a_ghost_gives_way_to_a_login_from_elsewhere() -> None:
    async with (
        Station(FAST) as station,
        Charger(station.port) as ghost,
        Charger(station.port, ELSEWHERE) as new,
    ):
        await ghost.log_in()
        await new.log_in()
        await ghost.closed()
        assert [each.reason for each in station.of(reports.LinkLost)] == ["evicted"]
        assert station.gateway.connected() == (NUMBER,)


async def test_two_numbers_on_one_link() -> None:
    async with Station() as station, Charger(station.port) as charger:
        station.adopt(OTHER)
        await charger.log_in(NUMBER)
        await charger.log_in(OTHER)
        charger.send(realtime(NUMBER), realtime(OTHER))
        sampled = await station.wait_for(reports.ConnectorSampled, 2)
        assert [each.charge_point_no for each in sampled] == [NUMBER, OTHER]
        charger.writer.close()
        lost = await station.wait_for(reports.LinkLost, 2)
        assert {each.charge_point_no for each in lost} == {NUMBER, OTHER}
        assert station.gateway.connected() == ()


async def test_a_stop_wished_while_a_frame_is_handled_goes_out_before_its_answer() -> None:
    async with Station() as station, Charger(station.port) as charger:
        await charger.log_in()
        await charger.expect(messages.ReadRealtime)
        await charger.expect(messages.ReadRealtime)

        def stop(_: reports.ConnectorSampled) -> None:
            stop_now = wishes.StopRemotely(charge_point_no=NUMBER, connector_no=1)
            assert station.gateway.send(stop_now)

        station.bus.subscribe("safety", stop, reports.ConnectorSampled)
        before = len(station.log.lines)
        charger.send(frame(realtime(tx=TX, state=3)) + frame(messages.Heartbeat(NUMBER, 1, 0)))
        await charger.expect(messages.RemoteStop)
        await charger.expect(messages.HeartbeatAnswer)
        logged = [(way, raw[5]) for _, way, raw in station.log.lines[before:]]
        assert logged == [("<", 0x13), ("<", 0x03), (">", 0x36), (">", 0x04)]


async def test_a_failing_handler_stops_neither_others_nor_the_link(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Station() as station, Charger(station.port) as charger:

        def fail(_: reports.ConnectorSampled) -> None:
            raise RuntimeError("on purpose")

        station.bus.subscribe("broken", fail, reports.ConnectorSampled)
        await charger.log_in()
        charger.send(realtime(), realtime())
        await station.wait_for(reports.ConnectorSampled, 2)
        charger.send(messages.Heartbeat(NUMBER, 1, 0))
        await charger.expect(messages.HeartbeatAnswer)
        assert station.bus.failures()["broken"] == 2
        assert caplog.text.count("RuntimeError: on purpose") == 1  # once a minute


async def test_a_bug_in_one_conversation_ends_its_link_only(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    receive = YkcConnection.receive

    def broken(self: YkcConnection, data: bytes, now: Moment) -> Received:
        if OTHER in self.charge_point_nos():
            raise RuntimeError("a bug")
        return receive(self, data, now)

    monkeypatch.setattr(YkcConnection, "receive", broken)
    async with (
        Station() as station,
        Charger(station.port) as good,
        Charger(station.port) as bad,
    ):
        station.adopt(OTHER)
        await good.log_in()
        await bad.log_in(OTHER)
        bad.send(realtime(OTHER))
        await bad.closed()
        assert station.gateway.stats.crashed == 1
        assert "a bug" in caplog.text
        good.send(messages.Heartbeat(NUMBER, 1, 0))
        await good.expect(messages.HeartbeatAnswer)


async def test_a_flood_is_held_back_and_does_not_delay_others() -> None:
    async with (
        Station(read_quota=16 * 1024) as station,
        Charger(station.port) as loud,
        Charger(station.port) as quiet,
    ):
        station.adopt(OTHER)
        await loud.log_in()
        await quiet.log_in(OTHER)
        flood = asyncio.create_task(_flood(loud))
        delays = []
        for _ in range(20):
            began = time.perf_counter()
            quiet.send(messages.Heartbeat(OTHER, 1, 0))
            await quiet.expect(messages.HeartbeatAnswer)
            delays.append(time.perf_counter() - began)
            await asyncio.sleep(0.02)
        flood.cancel()
        assert max(delays) < 0.5
        assert station.gateway.stats.throttled > 0
        assert station.of(reports.ConnectorSampled)


async def _flood(charger: Charger) -> None:
    block = frame(realtime()) * 500
    while True:
        charger.send(block)
        await charger.writer.drain()
        await asyncio.sleep(0)


async def test_held_back_bytes_are_handled_in_order() -> None:
    async with Station(read_quota=2048) as station, Charger(station.port) as charger:
        await charger.log_in()
        for n in range(200):
            charger.send(realtime(energy_dwh=n))
        sampled = await station.wait_for(reports.ConnectorSampled, 200)
        assert [each.energy_dwh for each in sampled] == list(range(200))


async def test_others_are_heard_between_two_slices_of_a_flood() -> None:
    async with (
        Station(read_quota=1 << 30) as station,
        Charger(station.port) as loud,
        Charger(station.port) as quiet,
    ):
        station.adopt(OTHER)
        await loud.log_in()
        await quiet.log_in(OTHER)
        heard: list[str] = []

        def listen(report: reports.ConnectorSampled) -> None:
            if len(heard) == 100:  # more than a stranger may send before the first tick
                quiet.send(realtime(OTHER))
            heard.append(report.charge_point_no)

        station.bus.subscribe("listener", listen, reports.ConnectorSampled)
        # What one look at the socket finds.
        count = 3 * READ_SLICE // len(frame(realtime()))
        loud.send(frame(realtime()) * count)
        await station.wait_for(reports.ConnectorSampled, count + 1)
        assert heard[-1] == NUMBER


async def test_a_peer_that_does_not_read_is_closed() -> None:
    async with Station(read_quota=1 << 30) as station, Charger(station.port) as charger:
        await charger.log_in()
        beats = frame(messages.Heartbeat(NUMBER, 1, 0)) * 5000
        charger.writer.transport.pause_reading()
        for _ in range(400):
            charger.writer.write(beats)
            await asyncio.sleep(0)
            if station.of(reports.LinkLost):
                break
        (lost,) = await station.wait_for(reports.LinkLost)
        assert lost.reason in ("not_reading", "reset")
        assert station.gateway.stats.not_reading == 1


async def test_too_many_connections_are_refused() -> None:
    async with Station(connections_max=1) as station, Charger(station.port) as first:
        await first.log_in()
        async with Charger(station.port) as second:
            await second.closed()
        assert station.gateway.stats.refused_full == 1
        first.send(messages.Heartbeat(NUMBER, 1, 0))
        await first.expect(messages.HeartbeatAnswer)


async def test_who_holds_connections_keeps_nobody_out(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with AsyncExitStack() as stack:
        station = await stack.enter_async_context(Station(connections_max=4))
        station.adopt(NUMBER)
        good = await stack.enter_async_context(Charger(station.port))
        await good.log_in()
        idle = [await stack.enter_async_context(Charger(station.port, ELSEWHERE)) for _ in range(3)]
        async with Charger(station.port, ELSEWHERE) as one_more:
            await one_more.closed()
        station.adopt(OTHER)
        other = await stack.enter_async_context(Charger(station.port, "127.0.0.3"))
        await other.log_in(OTHER)
        await idle[0].closed()
        good.send(messages.Heartbeat(NUMBER, 1, 0))
        await good.expect(messages.HeartbeatAnswer)
        assert station.gateway.stats.crowded_out == 1
        assert station.gateway.stats.refused_full == 1
        assert "127.0.0.2 link" not in caplog.text


async def test_a_stranger_is_heard_in_small_portions() -> None:
    async with Station() as station, Charger(station.port) as charger:
        beats = frame(messages.Heartbeat(NUMBER, 1, 0)) * 400
        charger.send(beats, login(NUMBER))
        await station.wait_for(reports.LoggedIn)
        assert station.gateway.stats.throttled >= 1


async def test_a_wish_may_close_the_link() -> None:
    async with Station() as station, Charger(station.port) as charger:
        await charger.log_in()
        station.gateway.send(wishes.CloseLink(charge_point_no=NUMBER, reason="record_missing"))
        await charger.closed()
        (lost,) = await station.wait_for(reports.LinkLost)
        assert lost.reason == "record_missing"


async def test_200_charge_points_at_once() -> None:
    async with Station() as station:
        numbers = [f"3201060001{n:04d}" for n in range(200)]
        for number in numbers:
            station.adopt(number)

        async def one(number: str) -> Any:
            async with Charger(station.port) as charger:
                await charger.log_in(number)
                charger.send(realtime(number), messages.Heartbeat(number, 1, 0))
                return await charger.expect(messages.HeartbeatAnswer)

        answers = await asyncio.gather(*map(one, numbers))
        assert [each.charge_point_no for each in answers] == numbers
        assert len(station.of(reports.ConnectorSampled)) == 200


def test_it_runs_on_uvloop() -> None:
    uvloop = pytest.importorskip("uvloop")

    async def talk() -> None:
        async with Station() as station, Charger(station.port) as charger:
            await charger.log_in()
            charger.send(realtime(), messages.Heartbeat(NUMBER, 1, 0))
            await charger.expect(messages.HeartbeatAnswer)
            station.gateway.send(wishes.StopRemotely(charge_point_no=NUMBER, connector_no=1))
            await charger.expect(messages.RemoteStop)
            charger.writer.close()
            await station.wait_for(reports.LinkLost)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(talk())
