"""Commands of HQ: carried out once, in time, or refused; and known again after a restart."""

from __future__ import annotations

import asyncio
import itertools
import threading
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from msgspec import structs

from edge.devices.chargers import reports as r
from edge.devices.chargers import wishes as w
from edge.journal import Put
from edge.journal.store import Store
from edge.safety.latches import Latch
from edge.station import desk
from shared.clock import from_ms
from shared.contracts import commands as c
from shared.contracts import events as e
from shared.contracts.words import ConnectorStatus, Outcome, TokenKind
from shared.tariff import Period, PeriodPrice, Tariff, TariffVersion
from tests.fakes.station_site import CP, CP2, TARIFF, VERSION, Site

ORDER = UUID(int=5)


@pytest.fixture
async def site(tmp_path: Path):
    site = await Site.make(tmp_path)
    yield site
    await site.close()


def order(number: int = 5, **changes: object) -> c.StartTransaction:
    values: dict[str, object] = {"charge_point_no": CP, "connector_no": 1, **changes}
    return c.StartTransaction(order_id=UUID(int=number), **values)  # type: ignore[arg-type]


def outcomes(settled: list[e.CommandSettled]) -> list[tuple[Outcome, str]]:
    return [(each.outcome, each.reason) for each in settled]


async def test_a_command_that_comes_twice_is_carried_out_once(site: Site) -> None:
    command_id = uuid4()
    await site.command(order(), command_id)
    await site.command(order(), command_id)
    (start,) = site.points.of(w.StartRemotely)
    site.bus.publish(r.StartAnswered(site.at(), CP, 1, start.transaction_no, True, 0, b"\x33"))
    settled = await site.command(order(), command_id)
    assert outcomes(settled) == [(Outcome.DONE, "")] * 2  # once for the fact, once for the resend
    assert len(site.points.of(w.StartRemotely)) == 1


async def test_a_start_that_comes_late_never_runs(site: Site) -> None:
    settled = await site.command(order(), expires_s=0)
    assert outcomes(settled) == [(Outcome.EXPIRED, "too_late")]
    assert site.points.of(w.StartRemotely) == []


def hold_disk(
    monkeypatch: pytest.MonkeyPatch, *, after: int
) -> tuple[asyncio.Event, threading.Event]:
    """Keep commits waiting but the first `after`; returns that one waits, and what lets it go."""
    waits, works, apply = asyncio.Event(), threading.Event(), Store.apply
    loop, passed = asyncio.get_running_loop(), itertools.count()

    def slowly(store: Store, *rest: Any) -> Any:
        if next(passed) >= after:
            loop.call_soon_threadsafe(waits.set)
            works.wait(30)  # a test that fails must not hang
        return apply(store, *rest)

    monkeypatch.setattr(Store, "apply", slowly)
    return waits, works


@pytest.mark.parametrize("commits", [0, 1])  # of its id, of the transaction
async def test_a_start_that_waits_too_long_for_the_disk_never_runs(
    site: Site, monkeypatch: pytest.MonkeyPatch, commits: int
) -> None:
    waits, works = hold_disk(monkeypatch, after=commits)
    sent = asyncio.create_task(site.command(order()))
    await waits.wait()
    assert len(site.station.book.open_transactions()) == commits
    site.clock.advance(300)
    works.set()
    await sent
    await site.tick()
    (settled,) = site.told(e.CommandSettled)[-1:]
    assert settled.outcome is (Outcome.FAILED if commits else Outcome.EXPIRED)
    assert site.points.of(w.StartRemotely) == []
    assert site.station.book.open_transactions() == []


async def test_nothing_starts_whose_protection_went_while_its_start_was_stored(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits, works = hold_disk(monkeypatch, after=0)
    site.ask()
    await waits.wait()
    monkeypatch.setattr(site.station.safety.watch, "refuses", lambda _: "detector_fault")
    works.set()
    await site.tick()
    assert [answer.accepted for answer in site.points.of(w.AnswerStart)] == [False]
    assert {failed.reason for failed in site.told(e.TransactionStartFailed)} == {"blocked"}


@pytest.mark.parametrize("remote", [True, False])
async def test_nothing_starts_that_was_blocked_while_its_start_was_stored(
    site: Site, monkeypatch: pytest.MonkeyPatch, remote: bool
) -> None:
    waits, works = hold_disk(monkeypatch, after=1 if remote else 0)
    sent = None
    if remote:
        sent = asyncio.create_task(site.command(order()))
    else:
        site.ask()
    await waits.wait()
    assert len(site.station.book.open_transactions()) == 1
    stop = asyncio.create_task(site.command(c.EmergencyStop()))
    await asyncio.sleep(0)
    assert site.points.of(w.StopRemotely)
    works.set()
    await stop
    if sent is not None:
        await sent
        await site.tick()
        assert site.told(e.CommandSettled)[-1].outcome is Outcome.FAILED
    assert site.points.of(w.StartRemotely) == []
    assert [answer.accepted for answer in site.points.of(w.AnswerStart)] == [False] * (not remote)
    assert {failed.reason for failed in site.told(e.TransactionStartFailed)} == {"blocked"}


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (order(charge_point_no="1" * 14), "unknown_charge_point"),
        (order(connector_no=0), "unknown_connector"),
        (order(connector_no=500), "unknown_connector"),
        (c.RebootChargePoint(charge_point_no="1" * 14), "unknown_charge_point"),
        (c.EmergencyStop(charge_point_no="1" * 14), "unknown_charge_point"),
        (c.PublishAccessList(version=0, entries=()), "older_version"),
        (c.PublishAccessList(version=9, entries=(), part_no=3, part_count=2), "part 3 of 2"),
        (c.PublishAccessList(version=9, entries=(), part_no=0, part_count=2), "part 0 of 2"),
    ],
)
async def test_commands_that_cannot_be(site: Site, command: c.AnyCommand, reason: str) -> None:
    assert outcomes(await site.command(command)) == [(Outcome.REJECTED, reason)]
    assert site.points.wishes == []


async def test_a_start_for_who_is_away_or_under_way_is_refused(site: Site) -> None:
    site.lose(CP2)
    settled = await site.command(order(charge_point_no=CP2))
    assert outcomes(settled) == [(Outcome.REJECTED, "charge_point_offline")]
    await site.command(order())
    settled = await site.command(order(6))
    assert outcomes(settled) == [(Outcome.REJECTED, "start_under_way")]


async def test_the_start_of_an_order_survives_a_crash_and_runs_once(site: Site) -> None:
    command_id = uuid4()
    await site.command(order(), command_id)
    (start,) = site.points.of(w.StartRemotely)
    await site.crash()
    site.log_in()
    await site.command(order(), command_id)
    site.charging(start.transaction_no, 100)
    await site.tick()
    assert site.points.of(w.StartRemotely) == []
    settled = [each for each in site.told(e.CommandSettled) if each.command_id == command_id]
    assert outcomes(settled) == [(Outcome.DONE, "")]
    (started,) = site.told(e.TransactionStarted)
    assert started.order_id == ORDER


async def test_an_order_that_ran_and_ended_is_not_started_again(site: Site) -> None:
    command_id = uuid4()
    await site.command(order(), command_id)
    (start,) = site.points.take(w.StartRemotely)
    site.charging(start.transaction_no, 100)
    site.clock.advance(5)
    site.record(start.transaction_no, 110, minutes=0)
    await site.settle()
    await site.crash()
    site.log_in()
    assert outcomes(await site.command(order(), command_id)) == [(Outcome.DONE, "")]
    assert site.points.of(w.StartRemotely) == []


async def test_a_command_that_could_not_be_stored_is_taken_when_it_comes_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError("no space left")

    command_id = uuid4()
    monkeypatch.setattr("edge.journal.store.Store.apply", broken)
    monkeypatch.setattr(site, "settle", lambda: site.journal.commit([]))
    await site.command(order(), command_id)
    assert site.points.of(w.StartRemotely) == []
    monkeypatch.undo()
    await site.command(order(), command_id)
    assert len(site.points.of(w.StartRemotely)) == 1


async def test_a_stop_names_its_transaction(site: Site) -> None:
    number = await site.run()
    running = site.station.book.by_number(number)
    assert running is not None
    stop = c.StopTransaction(transaction_id=running.transaction_id)
    settled = await site.command(stop, expires_s=0)  # a stop never expires
    assert settled == []
    (wish,) = site.points.of(w.StopRemotely)
    assert (wish.charge_point_no, wish.connector_no) == (CP, 1)
    site.clock.advance(1)
    site.sample(plugged_in=True)
    await site.tick()
    assert site.told(e.CommandSettled)[-1].outcome is Outcome.DONE
    assert outcomes(await site.command(stop)) == [(Outcome.ALREADY_ENDED, "")]
    unknown = c.StopTransaction(transaction_id=uuid4())
    assert outcomes(await site.command(unknown)) == [(Outcome.ALREADY_ENDED, "")]


async def test_a_stop_never_hits_the_transaction_that_came_after(
    site: Site,
) -> None:
    number = await site.run()
    running = site.station.book.by_number(number)
    assert running is not None
    site.lose()
    await site.command(c.StopTransaction(transaction_id=running.transaction_id), expires_s=None)
    site.points.wishes.clear()
    site.log_in()
    site.charging("9" * 32, 5)  # another transaction runs by now: that one is not stopped
    await site.tick()
    assert site.points.of(w.StopRemotely) == []
    assert site.told(e.CommandSettled)[-1].outcome is Outcome.DONE


async def test_a_stop_waits_until_its_transaction_is_back(site: Site) -> None:
    number = await site.run()
    running = site.station.book.by_number(number)
    assert running is not None
    site.lose()
    await site.command(c.StopTransaction(transaction_id=running.transaction_id), expires_s=None)
    site.log_in()
    assert site.points.of(w.StopRemotely) == []
    site.charging(number, 2500)
    await site.tick()
    assert len(site.points.of(w.StopRemotely)) == 1


async def test_a_stop_is_repeated_after_a_crash(site: Site) -> None:
    number = await site.run()
    running = site.station.book.by_number(number)
    assert running is not None
    command_id = uuid4()
    stop = c.StopTransaction(transaction_id=running.transaction_id)
    await site.command(stop, command_id)
    await site.tick()
    await site.crash()
    site.log_in()
    site.charging(number, 2100)
    await site.command(stop, command_id)
    assert len(site.points.of(w.StopRemotely)) == 1


async def test_an_emergency_stop_blocks_until_it_is_reset(site: Site) -> None:
    number = await site.run()
    settled = await site.command(c.EmergencyStop(), expires_s=0)  # it always runs
    assert outcomes(settled) == [(Outcome.DONE, "")]
    stops = {(stop.charge_point_no, stop.connector_no) for stop in site.points.of(w.StopRemotely)}
    assert stops == {(CP, 1), (CP, 2), (CP2, 1), (CP2, 2)}
    assert {entry.status for entry in site.station.live.all()} == {ConnectorStatus.ALARM}
    assert outcomes(await site.command(order(connector_no=2))) == [
        (Outcome.REJECTED, "out_of_service")
    ]
    site.sample(plugged_in=False)  # unplugging lifts trips, not this
    await site.tick()
    await site.crash()
    site.log_in()
    assert outcomes(await site.command(order(connector_no=2)))[0][0] is Outcome.REJECTED
    site.points.wishes.clear()
    site.charging(number, 3000)  # it went on by itself
    assert len(site.points.of(w.StopRemotely)) == 1
    assert outcomes(await site.command(c.ResetEmergencyStop())) == [(Outcome.DONE, "")]
    await site.command(order(connector_no=2))
    assert len(site.points.of(w.StartRemotely)) == 1
    assert [alarm.code for alarm in site.told(e.AlarmCleared)].count("emergency_stop") == 1


async def test_an_emergency_stop_takes_along_what_charges_the_same_vehicle(site: Site) -> None:
    numbers = {n: await site.start(connector_no=n, parallel_no="0001") for n in (1, 2)}
    for connector_no, number in numbers.items():
        site.charging(number, 100, connector_no=connector_no)
    await site.command(c.EmergencyStop(charge_point_no=CP, connector_no=1))
    assert sorted(stop.connector_no for stop in site.points.of(w.StopRemotely)) == [1, 2]
    await site.crash()
    site.log_in()
    site.clock.advance(15)
    site.charging(numbers[2], 200, connector_no=2)
    assert [stop.connector_no for stop in site.points.of(w.StopRemotely)][:1] == [2]


async def test_hq_cannot_reset_what_was_set_on_site(site: Site) -> None:
    site.station.perform(site.station.guard.block(Latch(CP, 1, "smoke", 0), site.at()))
    reset = c.ResetEmergencyStop(charge_point_no=CP, connector_no=1)
    assert outcomes(await site.command(reset)) == [(Outcome.REJECTED, "reset_on_site_only")]


async def test_device_wishes_settle_as_the_device_says(site: Site) -> None:
    command_id = uuid4()
    reboot = c.RebootChargePoint(charge_point_no=CP)
    assert await site.command(reboot, command_id) == []
    (wish,) = site.points.of(w.Reboot)
    site.bus.publish(r.WishSettled(site.at(), CP, wish.wish_no, Outcome.FAILED, "no_answer"))
    await site.settle()
    assert outcomes(site.told(e.CommandSettled)[-1:]) == [(Outcome.FAILED, "no_answer")]
    site.lose()
    assert outcomes(await site.command(reboot)) == [(Outcome.REJECTED, "charge_point_offline")]


async def test_what_would_be_felt_twice_is_not_repeated_after_a_crash(site: Site) -> None:
    command_id = uuid4()
    reboot = c.RebootChargePoint(charge_point_no=CP)
    await site.command(reboot, command_id)
    await site.crash()
    site.log_in()
    assert outcomes(await site.command(reboot, command_id)) == [(Outcome.FAILED, "interrupted")]
    assert site.points.of(w.Reboot) == []


async def test_frames_are_read_without_blocking_and_not_kept(site: Site) -> None:
    command_id = uuid4()
    fetch = c.FetchFrames(file="f", first_line=1, last_line=2)
    await site.command(fetch, command_id)
    while not [s for s in site.told(e.CommandSettled) if s.command_id == command_id]:
        await site.settle()
    assert site.told(e.CommandSettled)[-1].answer == b"f 1 2"
    assert command_id not in site.station.desk._seen


async def test_seen_commands_are_forgotten(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "_SEEN_MAX", 5)
    for _ in range(10):
        await site.command(c.ReportState())
    site.station.tick_hourly()
    assert len(site.station.desk._seen) == 5
    site.clock.advance(8 * 86_400)
    site.station.tick_hourly()
    assert site.station.desk._seen == {}


async def test_a_tariff_is_pushed_when_it_becomes_valid(site: Site) -> None:
    later = TariffVersion(
        tariff_version_id=UUID(int=8), version=2, model_no=8, tariff=TARIFF,
        valid_from=from_ms(site.clock.now_ms() + 60_000),
    )  # fmt: skip
    await site.tick()
    await site.command(c.PublishTariff(tariff=later))
    site.points.wishes.clear()
    await site.tick()
    assert site.points.of(w.HoldTariff) == []
    await site.tick(60)
    assert {hold.tariff.model_no for hold in site.points.of(w.HoldTariff)} == {8}


def numbered(site: Site, version: int, *, in_s: int = 0) -> TariffVersion:
    prices = {Period.FLAT: PeriodPrice(10_000 + version, 0)}
    return TariffVersion(
        tariff_version_id=UUID(int=100 + version), version=version, model_no=version,
        tariff=Tariff("F" * 48, prices), valid_from=from_ms(site.clock.now_ms() + in_s * 1000),
    )  # fmt: skip


async def test_tariffs_that_nobody_needs_any_more_are_dropped(site: Site) -> None:
    held = numbered(site, 2)
    await site.command(c.PublishTariff(tariff=held))
    site.bus.publish(r.TariffHeld(site.at(), CP, 2, held.tariff.content_hash()))
    number = await site.start()
    running = site.station.book.by_number(number)
    assert running is not None
    assert running.tariff_version_id == held.tariff_version_id
    published = [numbered(site, version) for version in range(3, 19)]
    for version in (*published, to_come := numbered(site, 19, in_s=86_400)):
        await site.command(c.PublishTariff(tariff=version))
    # The charge point has a newer one; what runs keeps the price of its beginning.
    newest = published[-1]
    site.bus.publish(r.TariffHeld(site.at(), CP, 18, newest.tariff.content_hash()))
    site.station.tick_hourly()

    def known() -> list[int]:
        ids = [VERSION.tariff_version_id, *(UUID(int=100 + number) for number in range(2, 20))]
        found = [site.station.tariffs.get(each) for each in ids]
        return [version.version for version in found if version is not None]

    assert known() == [2, *range(8, 20)]
    await site.restart()
    assert known() == [2, *range(8, 20)]
    assert site.station.tariffs.get(to_come.tariff_version_id) == to_come


async def test_a_clock_that_ran_ahead_costs_no_tariff(site: Site) -> None:
    month_s = 30 * 86_400
    for version in range(2, 5):
        await site.command(
            c.PublishTariff(tariff=numbered(site, version, in_s=(version - 2) * month_s))
        )
    site.clock.jump(400 * 86_400)
    site.station.tick_hourly()
    site.clock.jump(-400 * 86_400)
    current = site.station.tariffs.current(site.clock.now_ms())
    assert current is not None, "nobody could start"
    assert current.version == 2


async def test_an_estimate_keeps_its_tariff_until_its_record_comes(tmp_path: Path) -> None:
    site = await Site.make(tmp_path)
    site.log_in()
    number = await site.start()
    transaction = site.station.book.by_number(number)
    assert transaction is not None
    site.station.perform(site.station.book.close(transaction, site.at()))
    for version in range(3, 17):
        await site.command(c.PublishTariff(tariff=numbered(site, version)))
    held = numbered(site, 16).tariff.content_hash()
    site.bus.publish(r.TariffHeld(site.at(), CP, 16, held))
    site.station.tick_hourly()
    assert site.station.tariffs.get(transaction.tariff_version_id) is not None
    assert site.station.tariffs.get(UUID(int=103)) is None
    await site.close()


async def test_the_file_of_a_station_without_hq_holds_as_it_is_now(tmp_path: Path) -> None:
    def local(price_e5: int) -> TariffVersion:
        tariff = Tariff("F" * 48, {Period.FLAT: PeriodPrice(price_e5, 0)})
        return structs.replace(
            VERSION, tariff_version_id=UUID(int=price_e5), version=0, tariff=tariff
        )

    site = await Site.make(tmp_path, tariff=None)
    prices = []
    for price_e5 in (90_000, 10_000, 50_000):
        site.local_tariff = local(price_e5)
        await site.restart()
        site.log_in()
        current = site.station.tariffs.current(site.clock.now_ms())
        assert current is not None
        prices.append(current.tariff.prices[Period.FLAT].energy_price_e5)
        await site.tick(200)
        site.hq_up = True
        await site.start()
    assert prices == [90_000, 10_000, 50_000]
    first, *_ = site.station.book.open_transactions()
    assert site.station.tariffs.get(first.tariff_version_id) is not None  # still its own price
    await site.command(c.PublishTariff(tariff=VERSION))
    assert site.station.tariffs.current(site.clock.now_ms()) == VERSION
    await site.restart()
    assert site.station.tariffs.current(site.clock.now_ms()) == VERSION
    await site.close()


async def test_a_transaction_keeps_the_tariff_that_its_charge_point_holds(site: Site) -> None:
    held = TARIFF.content_hash()
    site.bus.publish(r.TariffHeld(site.at(), CP, 7, held))
    other = Tariff("P" * 48, {Period.PEAK: PeriodPrice(90_000, 40_000)})
    newer = TariffVersion(
        tariff_version_id=UUID(int=9), version=3, model_no=9, tariff=other, valid_from=from_ms(0)
    )
    await site.command(c.PublishTariff(tariff=newer))
    number = await site.start()
    running = site.station.book.by_number(number)
    assert running is not None
    assert running.tariff_version_id == VERSION.tariff_version_id


async def test_a_charge_point_that_hq_removes_is_let_go(site: Site) -> None:
    configs = tuple(
        c.ChargePointConfig(charge_point_no=number, connector_count=2) for number in (CP, "3" * 14)
    )
    site.station.registry._local.clear()
    await site.command(c.PublishRegistry(version=1, charge_points=configs))
    await site.command(c.PublishRegistry(version=2, charge_points=configs[:1]))
    numbers = {entry.connector[0] for entry in site.station.live.all()}
    assert numbers == {CP, CP2}  # CP2 is on-line and was never HQ's
    changed = (c.ChargePointConfig(charge_point_no=CP, connector_count=2, dialect="ylc"),)
    site.points.wishes.clear()
    await site.command(c.PublishRegistry(version=3, charge_points=changed))
    assert [close.charge_point_no for close in site.points.of(w.CloseLink)] == [CP]
    await site.command(c.PublishRegistry(version=4, charge_points=()))
    assert CP not in {entry.connector[0] for entry in site.station.live.all()}


async def test_who_knocks_without_end_fills_no_memory(site: Site) -> None:
    for n in range(300):
        site.bus.publish(
            r.LoginRequested(site.at(), f"{n:014d}", n, "10.0.0.8", 1, True, "1.6", "x")
        )
    await site.settle()
    assert len(site.station.registry.waiting) == 100
    assert len(site.told(e.ChargePointQuarantined)) == 100
    assert {login.accepted for login in site.points.logins} == {False}
    site.clock.advance(601)
    site.bus.publish(r.LoginRequested(site.at(), "8" * 14, 1, "10.0.0.8", 1, True, "1.6", "x"))
    assert "8" * 14 in site.station.registry.waiting


def part(version: int, part_no: int, part_count: int, *values: str) -> c.PublishAccessList:
    entries = tuple(c.AccessEntry(token=e.Token(TokenKind.ACCOUNT, value)) for value in values)
    return c.PublishAccessList(
        version=version, entries=entries, part_no=part_no, part_count=part_count
    )


async def test_a_list_in_parts_holds_once_all_are_there(site: Site) -> None:
    before = site.station.access.version
    await site.command(part(7, 1, 2, "never-whole"))
    for command in (part(8, 3, 3, "c"), part(8, 1, 3, "a"), part(8, 3, 3, "c")):
        assert outcomes(await site.command(command)) == [(Outcome.DONE, "")]
        await site.restart()
        assert site.station.access.version == before
    # What a station has of a later list is not given up for an earlier one.
    assert outcomes(await site.command(part(7, 2, 2, "late"))) == [(Outcome.DONE, "")]
    await site.command(part(8, 2, 3, "b"))
    for _ in range(2):
        assert site.station.access.version == 8
        found = [site.station.access.find(e.Token(TokenKind.ACCOUNT, v)) for v in "abc"]
        assert all(found)
        assert site.station.access.find(e.Token(TokenKind.ACCOUNT, "never-whole")) is None
        await site.restart()


async def test_no_part_of_a_list_costs_more_than_itself(site: Site) -> None:
    access = site.station.access
    for part_no in range(1, 5):
        values = [f"{part_no}-{n}" for n in range(1000)]
        changes = access.put(part(8, part_no, 4, *values))
        assert sum(len(change.blob) for change in changes if isinstance(change, Put)) < 200_000
    assert access.find(e.Token(TokenKind.ACCOUNT, "1-0")) is not None


async def test_a_list_that_is_sent_again_stays_when_a_later_one_begins(site: Site) -> None:
    for command in (part(8, 1, 2, "a"), part(8, 2, 2, "b"), part(8, 1, 2, "a"), part(9, 1, 2)):
        await site.command(command)
    await site.restart()
    assert site.station.access.version == 8
    assert site.station.access.find(e.Token(TokenKind.ACCOUNT, "a")) is not None


@pytest.mark.parametrize("online", [True, False])
async def test_a_new_limit_is_stored_before_hq_hears_that_it_holds(
    site: Site, online: bool
) -> None:
    number = await site.run()
    running = site.station.book.by_number(number)
    assert running is not None
    await site.tick()
    if not online:
        site.points.online.discard(CP)
    limit = c.UpdateBalance(transaction_id=running.transaction_id, limit_fen=321)
    await site.command(limit)
    if online:
        (wish,) = site.points.of(w.SetBalance)
        site.bus.publish(r.WishSettled(site.at(), CP, wish.wish_no, Outcome.DONE, ""))
        await site.settle()
    assert site.told(e.CommandSettled)[-1].outcome is Outcome.DONE
    await site.crash()
    running = site.station.book.by_number(number)
    assert running is not None
    assert running.limit_fen == 321
