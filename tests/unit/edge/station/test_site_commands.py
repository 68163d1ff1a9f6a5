"""Commands about protection and people on site: what is good holds, what is not changes nothing."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from edge.journal import Put
from edge.station.pins import PinError, hash_pin
from edge.station.protection import ProtectionShelf
from shared.clock import from_ms
from shared.contracts import commands as c
from shared.contracts import events as e
from shared.contracts.protection import (
    Device,
    Interlock,
    Output,
    OutputKind,
    Pin,
    Protection,
    Zone,
)
from shared.contracts.words import Outcome, Severity
from shared.errors import ProtectionError
from tests.fakes.station_site import CP, Site

PIN = "274913"
GOOD = Protection(zones=(Zone(name="north", connectors=((CP, 1),)),))
BAD = Protection(zones=(Zone(name="north"), Zone(name="north")))


@pytest.fixture
async def site(tmp_path: Path):
    site = await Site.make(tmp_path)
    yield site
    await site.close()


def publish(version: int, protection: Protection = GOOD) -> c.PublishProtection:
    return c.PublishProtection(version=version, protection=protection)


async def outcome(site: Site, command: c.AnyCommand) -> tuple[Outcome, str]:
    (settled,) = await site.command(command)
    return settled.outcome, settled.reason


async def test_a_good_document_holds_at_once_and_after_a_restart(site: Site) -> None:
    seen: list[Protection] = []
    site.station.on_protection = seen.append
    assert await outcome(site, publish(3)) == (Outcome.DONE, "")
    assert seen == [GOOD]
    told = site.told(e.ProtectionActivated)[-1]
    assert (told.version, told.sha256) == (3, site.station.protection.held.sha256)
    await site.restart()
    assert site.station.protection.held.protection == GOOD
    assert site.station.protection.held.source == "hq 3"


async def test_a_wrong_document_is_refused_with_its_path_and_the_last_one_holds(
    site: Site,
) -> None:
    await site.command(publish(3))
    got, reason = await outcome(site, publish(4, BAD))
    assert (got, reason.split(":")[0]) == (Outcome.REJECTED, "zones[1].name")
    assert await outcome(site, publish(2)) == (Outcome.REJECTED, "older_version")
    assert site.station.protection.held.version == 3


async def test_what_does_not_fit_the_stations_lines_is_refused(site: Site) -> None:
    def fits(protection: Protection) -> None:
        if protection.devices:
            raise ProtectionError("devices[0].line", "no such line")

    site.station.protection.connect(fits)
    device = Device(name="d1", line="nowhere", unit_id=1, profile="x")
    got = await outcome(site, publish(1, Protection(devices=(device,))))
    assert got == (Outcome.REJECTED, "devices[0].line: no such line")


async def test_the_same_document_again_is_done_and_activates_nothing(site: Site) -> None:
    await site.command(publish(3))
    before = len(site.told(e.ProtectionActivated))
    assert await outcome(site, publish(3)) == (Outcome.DONE, "")
    assert len(site.told(e.ProtectionActivated)) == before


async def test_a_document_that_no_longer_fits_protects_and_is_an_alarm(site: Site) -> None:
    await site.command(publish(3))

    def nothing_fits(_protection: Protection) -> None:
        raise ProtectionError("devices[0].line", "no such line")

    site.station.protection.connect(nothing_fits)
    site.station.start()
    assert site.station.alarms.is_open("protection_degraded", "channel:document")
    assert site.station.protection.held.version == 3


def test_the_stations_own_document_serves_until_hq_has_one() -> None:
    shelf = ProtectionShelf({})
    assert shelf.held.source == "built-in"
    shelf.use_own(GOOD)
    assert (shelf.held.source, shelf.held.version) == ("file", 0)
    put = shelf.put(publish(1, Protection()))
    assert shelf.held.source == "hq 1"
    again = ProtectionShelf({put.key: put.blob})
    again.use_own(GOOD)
    assert again.held.source == "hq 1"


def test_who_may_reset_stands_in_the_matrix() -> None:
    shelf = ProtectionShelf({})
    shelf.use_own(Protection(interlocks=(Interlock(cause="smoke", role="chief"),)))
    assert shelf.role_for("smoke") == "chief"
    assert shelf.role_for("water") == "staff"


async def test_pins_of_hq_open_and_survive_a_restart(site: Site) -> None:
    pins = (Pin(name="Wang", role="chief", hash=hash_pin(PIN)),)
    assert await outcome(site, c.PublishPins(version=2, pins=pins)) == (Outcome.DONE, "")
    assert await outcome(site, c.PublishPins(version=1, pins=())) == (
        Outcome.REJECTED,
        "older_version",
    )
    await site.restart()
    assert await site.station.pins.check(PIN, "chief") == "Wang"


@pytest.mark.parametrize(
    ("pin", "path"),
    [
        (Pin(name="", role="staff", hash=hash_pin(PIN)), "pins[1].name"),
        (Pin(name="Li", role="staff", hash=hash_pin(PIN)), "pins[1].name"),
        (Pin(name="Wu", role="king", hash=hash_pin(PIN)), "pins[1].role"),
        (Pin(name="Wu", role="staff", hash="274913"), "pins[1].hash"),
        (
            Pin(name="Wu", role="staff", hash="$argon2i$v=19$m=8,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAA"),
            "pins[1].hash",
        ),
        (
            Pin(
                name="Wu",
                role="staff",
                hash="$argon2id$v=19$m=4194304,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAA",
            ),
            "pins[1].hash",
        ),
    ],
)
async def test_wrong_pins_are_refused_with_their_path(site: Site, pin: Pin, path: str) -> None:
    li = Pin(name="Li", role="staff", hash=hash_pin("111222"))
    got, reason = await outcome(site, c.PublishPins(version=1, pins=(li, pin)))
    assert (got, reason.split(":")[0]) == (Outcome.REJECTED, path)
    with pytest.raises(PinError, match="none is set"):
        await site.station.pins.check(PIN)


async def test_hq_acknowledges_and_shelves_an_alarm(site: Site) -> None:
    station = site.station
    now_ms = site.clock.now_ms()
    station.perform(station.alarms.raise_alarm("clock_offset", f"charge_point:{CP}", now_ms))
    alarm = station.alarms.find("clock_offset", f"charge_point:{CP}")
    assert alarm is not None
    acknowledge = c.AcknowledgeAlarm(alarm_id=alarm.alarm_id, by="Zhao")
    assert await outcome(site, acknowledge) == (Outcome.DONE, "")
    assert await outcome(site, acknowledge) == (Outcome.DONE, "")
    (told,) = site.told(e.AlarmAcknowledged)
    assert (told.by, told.at_hq) == ("Zhao", True)
    until = from_ms(now_ms) + timedelta(hours=1)
    shelve = c.ShelveAlarm(alarm_id=alarm.alarm_id, until=until, reason="repair", by="Zhao")
    assert await outcome(site, shelve) == (Outcome.DONE, "")
    await site.restart()
    (kept,) = [a for a in site.station.alarms.open_alarms() if a.code == "clock_offset"]
    assert (kept.acknowledged_by, kept.shelved_reason) == ("Zhao", "repair")
    site.clock.advance(3601)
    await site.tick()
    assert [each.until for each in site.told(e.AlarmShelved)] == [until, None]
    unknown = c.AcknowledgeAlarm(alarm_id=uuid4(), by="Zhao")
    assert (await outcome(site, unknown))[1].startswith("unknown_alarm")


async def test_an_instruction_is_answered_by_whoever_reads_it(site: Site) -> None:
    instruction_id = uuid4()
    order = c.Instruct(instruction_id=instruction_id, text_zh="撤离", text_en="", by="HQ")
    assert await outcome(site, order) == (Outcome.DONE, "")
    await site.restart()
    (shown,) = site.station.instructions.all()
    assert (shown.text_zh, shown.text_en) == ("撤离", "撤离")
    station = site.station
    for _ in range(2):
        now_ms = site.clock.now_ms()
        station.perform(station.instructions.acknowledge(instruction_id, "Li", now_ms))
    await site.settle()
    (told,) = site.told(e.InstructionAcknowledged)
    assert (told.instruction_id, told.by) == (instruction_id, "Li")
    await site.restart()
    assert site.station.instructions.all() == []
    empty = c.Instruct(instruction_id=uuid4(), text_zh=" ", text_en="")
    assert (await outcome(site, empty))[0] is Outcome.REJECTED


async def test_hq_starts_a_drill_once_and_is_told_why_not(site: Site) -> None:
    drill = c.StartDrill(by="li")
    assert await outcome(site, drill) == (Outcome.REJECTED, "drill_nothing")
    siren = Output(name="siren", kind=OutputKind.SIREN, device="relay", point="relay1")
    relay = Device(name="relay", line="field", unit_id=1, profile="waveshare-relay-d")
    await site.command(publish(3, Protection(devices=(relay,), outputs=(siren,))))
    assert await outcome(site, drill) == (Outcome.DONE, "")
    assert await outcome(site, drill) == (Outcome.REJECTED, "drill_running")
    (raised,) = [each for each in site.told(e.AlarmRaised) if each.code == "siren_drill"]
    assert raised.drill
    for _ in range(3):
        await site.tick(3)
    (finished,) = site.told(e.DrillFinished)
    assert (finished.by, [each.name for each in finished.outputs]) == ("li", ["siren"])


async def test_a_station_starts_though_its_document_cannot_be_used_as_a_whole(site: Site) -> None:
    def nothing(_protection: Protection) -> None:
        raise ProtectionError("devices[0].line", "no such line")

    site.station.on_protection = nothing
    site.station.start()
    assert site.station.alarms.is_open("protection_degraded", "channel:document")


async def test_what_hq_published_outlives_a_broken_file(site: Site) -> None:
    pins = (Pin(name="Wang", role="chief", hash=hash_pin(PIN)),)
    order = c.Instruct(instruction_id=uuid4(), text_zh="撤离", text_en="Leave")
    for command in (publish(3), c.PublishPins(version=2, pins=pins), order):
        await site.command(command)
    site.journal.recovered = "station.db.broken: torn"  # what the writer says of it
    with sqlite3.connect(site._folder() / "station.db") as db:
        await site.settle()
        db.execute("DELETE FROM state")
    site.station.stores.on_journal_trouble()
    await site.settle()
    await site.crash()
    assert site.station.protection.held.source == "hq 3"
    assert await site.station.pins.check(PIN) == "Wang"
    assert [each.text_en for each in site.station.instructions.all()] == ["Leave"]


async def test_entries_that_cannot_be_read_leave_a_station_that_protects(site: Site) -> None:
    await site.command(publish(3))
    kinds = {"protection": "published", "pins": "published", "instruction": "x", "alarm": "x"}
    site.journal.append([], [Put(kind, key, b"\xc1") for kind, key in kinds.items()])
    await site.settle()
    await site.restart()
    assert site.station.protection.held.source == "built-in"
    assert site.station.pins.people() == []
    assert site.station.instructions.all() == []
    assert site.station.alarms.is_open("protection_degraded", "channel:document")
    await site.command(publish(3))
    assert not site.station.alarms.is_open("protection_degraded", "channel:document")


async def test_a_document_whose_checksum_is_wrong_is_missed(site: Site) -> None:
    await site.command(publish(3))
    with sqlite3.connect(site._folder() / "station.db") as db:
        await site.settle()
        db.execute("UPDATE state SET blob = x'00' WHERE kind = 'protection'")
    await site.crash()
    assert site.station.alarms.is_open("protection_degraded", "channel:document")


async def test_hq_is_told_the_ids_that_are_open(site: Site) -> None:
    station, now_ms = site.station, site.clock.now_ms()
    place = f"charge_point:{CP}"
    station.perform(station.alarms.raise_alarm("clock_offset", place, now_ms))
    station.perform(
        station.alarms.raise_finding("clock_offset", place, now_ms, {}, severity=Severity.CRITICAL)
    )
    open_ids = {alarm.alarm_id for alarm in station.alarms.open_alarms()}
    assert set(station.state_report().open_alarm_ids) == open_ids
    await site.settle()
    ids = [fact.alarm_id for fact in site.told(e.AlarmRaised) if fact.code == "clock_offset"]
    assert ids[-1] in open_ids
    assert ids[0] not in open_ids


async def test_a_document_that_is_lost_stays_an_alarm_through_restarts(site: Site) -> None:
    await site.command(publish(3))
    site.journal.append([], [Put("protection", "published", b"\xc1")])
    await site.settle()
    for _ in range(2):
        await site.restart()
        for _ in range(70):
            await site.tick(1)
        assert site.station.alarms.is_open("protection_degraded", "channel:document")
