"""A simulated charge point against a minimal platform on real TCP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio

from edge.devices.chargers.ykc.messages import (
    BmsDemand,
    BmsStatus,
    ChargingEnd,
    Handshake,
    Heartbeat,
    Login,
    Parameters,
    Realtime,
    RemoteStartAnswer,
    RemoteStop,
    RemoteStopAnswer,
    TransactionRecord,
)
from ops.sim import book as books
from ops.sim.book import Book
from ops.sim.car import Car
from ops.sim.charge_point import ChargePoint
from ops.sim.machine import ChargePointSpec
from ops.sim.timing import FAST
from shared.clock import ScaledClock, to_ms
from tests.fakes.ykc_platform import FakePlatform

NO = "32010600019236"
CARD = "00000000d14b0a54"


def scaled_clock(scale: float = 120) -> ScaledClock:
    real_ms = int(datetime.now(UTC).timestamp() * 1000)
    # 14:59 in Shanghai: the last minute of a peak half-hour, flat comes next.
    return ScaledClock(real_ms, to_ms(datetime(2026, 11, 22, 6, 59, tzinfo=UTC)), scale)


@pytest_asyncio.fixture
async def platform() -> AsyncIterator[FakePlatform]:
    async with FakePlatform() as platform:
        yield platform


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path / "book.jsonl")


@pytest_asyncio.fixture
async def point(platform: FakePlatform, book: Book) -> AsyncIterator[ChargePoint]:
    point = ChargePoint(
        ChargePointSpec(charge_point_no=NO),
        book=book,
        host="127.0.0.1",
        port=platform.port,
        clock=scaled_clock(),
        timing=FAST,
        seed=7,
    )
    async with point:
        await point.wait_for("ready")
        yield point
    book.close()


async def test_logs_in_fetches_the_tariff_and_beats(
    platform: FakePlatform, point: ChargePoint
) -> None:
    login = platform.of(Login)[0]
    assert (login.charge_point_no, login.connector_count) == (NO, 2)
    await platform.received(Heartbeat, count=2)
    kinds = [frame.kind for frame in platform.frames]
    assert kinds[:4] == [0x01, 0x05, 0x09, 0x03]
    assert {message.connector_no for message in platform.of(Realtime)} == {1, 2}
    held = point.machine.book.device(NO).model
    assert held is not None
    assert held.model_no == "0001"


async def test_card_charge_from_plug_to_confirmed_record(
    platform: FakePlatform, point: ChargePoint, book: Book
) -> None:
    point.plug_in(1, Car.seeded(1, soc=0.3))
    point.swipe_card(1, CARD)
    charging = await point.wait_for("charging", connector_no=1)
    await platform.received(Realtime, lambda m: m.energy_dwh > 25_000)
    point.swipe_card(1, CARD)
    await point.wait_for("confirmed", transaction_no=charging.transaction_no)

    record = platform.of(TransactionRecord)[0]
    entry = book.entries()[0]
    assert entry.confirmed
    assert record.transaction_no == entry.transaction_no == charging.transaction_no
    assert record.start_mode == 2
    assert record.physical_card == CARD
    assert record.stop_reason == 0x45
    periods = [part.energy_dwh for part in record.periods]
    assert sum(periods) == record.energy_dwh == record.meter_end_dwh - record.meter_start_dwh
    assert record.energy_dwh == entry.true_energy_dwh > 25_000
    assert sum(energy_dwh > 0 for energy_dwh in periods) == 2  # the charge spans 15:00
    assert record.amount_e4 == sum(part.amount_e4 for part in record.periods)
    assert books.read(book.path).entries == book.contents.entries
    for kind in (Handshake, Parameters, BmsDemand, BmsStatus, ChargingEnd):
        assert all(m.transaction_no == entry.transaction_no for m in platform.of(kind))
        assert platform.of(kind), kind
    live = [m for m in platform.of(Realtime) if m.transaction_no == entry.transaction_no]
    assert live[-1].energy_dwh == record.energy_dwh
    assert live[-1].current_da == 0


async def test_remote_start_and_stop(platform: FakePlatform, point: ChargePoint) -> None:
    point.plug_in(2, Car.seeded(2, soc=0.3))
    number = platform.remote_start(NO, 2)
    answer = await platform.received(RemoteStartAnswer)
    assert (answer.result, answer.reason, answer.transaction_no) == (1, 0, number)
    await platform.received(Realtime, lambda m: m.status == 3 and m.current_da > 0)
    platform.send(RemoteStop(charge_point_no=NO, connector_no=2))
    assert (await platform.received(RemoteStopAnswer)).result == 1
    record = await platform.received(TransactionRecord)
    assert (record.transaction_no, record.start_mode, record.stop_reason) == (number, 1, 0x40)
    await point.wait_for("confirmed", transaction_no=number)


async def test_remote_start_waits_for_the_plug(platform: FakePlatform, point: ChargePoint) -> None:
    platform.remote_start(NO, 1)
    first = await platform.received(RemoteStartAnswer)
    assert (first.result, first.reason) == (0, 5)
    point.plug_in(1, Car.seeded(3, soc=0.3))
    second = await platform.received(RemoteStartAnswer, count=2)
    assert (second.result, second.reason) == (1, 0)
    await point.wait_for("charging")


async def test_charging_goes_on_without_the_link_and_is_replayed(
    platform: FakePlatform, point: ChargePoint
) -> None:
    point.plug_in(1, Car.seeded(4, soc=0.3))
    point.swipe_card(1, CARD)
    await platform.received(Realtime, lambda m: m.current_da > 0)
    point.set_fault("link_down", True)
    await point.wait_for("link_lost")
    point.unplug(1)
    ended = await point.wait_for("ended")
    before = len(platform.frames)
    point.set_fault("link_down", False)
    await point.wait_for("confirmed", transaction_no=ended.transaction_no)
    kinds = [frame.kind for frame in platform.frames[before:]]
    assert kinds[:2] == [0x01, 0x05]
    assert 0x3B in kinds
    assert 0x03 not in kinds[: kinds.index(0x3B)]


async def test_record_is_sent_again_until_it_is_confirmed(
    platform: FakePlatform, point: ChargePoint, book: Book
) -> None:
    platform.confirm = False
    point.plug_in(1, Car.seeded(5, soc=0.3))
    point.swipe_card(1, CARD)
    await point.wait_for("charging")
    point.press_stop(1)
    await platform.received(TransactionRecord, count=2)
    assert not book.entries()[0].confirmed
    platform.confirm = True
    await point.wait_for("confirmed")
    first, again = platform.of(TransactionRecord)[:2]
    assert first == again
    sequences = {frame.sequence for frame in platform.frames if frame.kind == 0x3B}
    assert len(sequences) >= 2


async def test_unanswered_heartbeats_end_the_connection(
    platform: FakePlatform, point: ChargePoint
) -> None:
    platform.answer_heartbeats = False
    lost = await point.wait_for("link_lost", timeout_s=15)
    assert lost.detail["reason"] == "heartbeats unanswered"
    platform.answer_heartbeats = True
    await point.wait_for("logged_in", since=lost.index)


async def test_a_hot_battery_shows_in_bms_frames_until_the_station_stops_it(
    platform: FakePlatform, point: ChargePoint
) -> None:
    car = Car.seeded(6, soc=0.3, temperature_c=50.0, heating_c_per_s=0.1, protects_itself=False)
    point.plug_in(1, car)
    point.swipe_card(1, CARD)
    hot = await platform.received(BmsStatus, lambda m: (m.battery_temp_max_c or 0) > 55)
    assert hot.over_temperature_status == 0  # its own electronics look away
    limit_c = platform.of(Parameters)[0].temp_max_c
    assert limit_c == 55
    assert hot.battery_temp_max_raw - 50 > limit_c
    seen = await point.wait_for("over_temperature")
    platform.send(RemoteStop(charge_point_no=NO, connector_no=1))
    zero = await point.wait_for("zero_current")
    assert zero.at_s > seen.at_s
    assert (await platform.received(Realtime, lambda m: m.battery_temp_max_raw > 105)).status == 3


async def test_two_points_with_one_number(platform: FakePlatform, point: ChargePoint) -> None:
    async with asyncio.timeout(20):
        assert await point.second_login("127.0.0.2")
    assert platform.connections == 2


async def test_a_slow_line_and_a_mute_charge_point(
    platform: FakePlatform, point: ChargePoint
) -> None:
    point.set_fault("trickle_s", 0.001)
    point.plug_in(1, Car.seeded(8))
    await platform.received(Realtime, lambda m: m.plugged_in == 1)
    point.set_fault("trickle_s", 0.0)
    point.set_fault("no_login", True)
    logins = len(platform.of(Login))
    point.drop_link()
    await point.wait_for("connected", since=point.mark())
    assert len(platform.of(Login)) == logins
