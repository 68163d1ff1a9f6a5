"""The life of an alarm on a real database, whoever does what in whatever order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from sqlmodel import select

from cloud.alarms import life, queries
from cloud.alarms import service as alarms
from cloud.alarms.history import moments_of
from cloud.alarms.models import Alarm, Drill, Early, Step, Trip
from cloud.alarms.queries import Filter, View
from cloud.alarms.schemas import GroupRead
from cloud.core.pagination import CursorError
from shared.clock import to_ms
from shared.contracts.commands import AcknowledgeAlarm, ShelveAlarm
from shared.contracts.events import (
    AlarmAcknowledged,
    AlarmCleared,
    AlarmEscalated,
    AlarmRaised,
    AlarmShelved,
    CommandSettled,
    DrillFinished,
    OutputTested,
    SafetyTripped,
    SirenSilenced,
    StationStateReported,
)
from shared.contracts.words import Outcome, Severity
from shared.ids import uuid7
from tests.component.cloud.slices.world import CHARGE_POINT_NO, END, START, World

HOT = "battery_over_temperature"
ONE_MINUTE = timedelta(minutes=1)


def raised(number: int, *, minute: int = 0, **changes: Any) -> AlarmRaised:
    fields: dict[str, Any] = {
        "occurred_at": START + timedelta(minutes=minute),
        "alarm_id": UUID(int=number),
        "code": HOT,
        "severity": Severity.CRITICAL,
        "object": "connector:1:1",
        "params": {"temperature_c": "61"},
    }
    return AlarmRaised(**(fields | changes))


def minor(number: int, **changes: Any) -> AlarmRaised:
    return raised(number, code="door_open", severity=Severity.MINOR, params={}, **changes)


def cleared(number: int, *, minute: int = 1, **changes: Any) -> AlarmCleared:
    fields: dict[str, Any] = {
        "occurred_at": START + timedelta(minutes=minute),
        "alarm_id": UUID(int=number),
        "code": HOT,
        "object": "connector:1:1",
    }
    return AlarmCleared(**(fields | changes))


async def all_alarms(world: World) -> list[Alarm]:
    rows = await world.session.scalars(
        select(Alarm).order_by(Alarm.raised_at).execution_options(populate_existing=True)  # type: ignore[arg-type]
    )
    return list(rows)


async def only_alarm(world: World) -> Alarm:
    [alarm] = await all_alarms(world)
    return alarm


async def steps(world: World, alarm: Alarm) -> list[Step]:
    return [moment.step for moment in await moments_of(world.session, alarm.id)]


async def sent(world: World, kind: str) -> Sequence[Any]:
    return [row.read_command() for row in await world.commands(kind)]


def who(world: World, alarm: Alarm, now: datetime = END) -> dict[str, Any]:
    return {"operator_id": world.station.operator_id, "alarm_id": alarm.id, "now": now}


async def test_one_cause_is_one_alarm(world: World) -> None:
    await world.deliver(raised(1), raised(1), raised(2), raised(3, object="connector:1:2"))
    rows = await all_alarms(world)
    assert sorted((row.object, row.repeats) for row in rows) == [
        ("connector:1:1", 1),
        ("connector:1:2", 0),
    ]
    await world.deliver(cleared(1), cleared(1), raised(4, minute=2))
    rows = await all_alarms(world)
    assert [row.cleared_at is None for row in rows if row.object == "connector:1:1"] == [
        False,
        True,
    ]
    [first, _] = [row for row in rows if row.object == "connector:1:1"]
    assert await steps(world, first) == [Step.RAISED, Step.CLEARED]


async def test_an_end_before_its_beginning_still_ends_it(world: World) -> None:
    await world.deliver(cleared(1), cleared(1), raised(1))
    alarm = await only_alarm(world)
    assert alarm.cleared_at == START + timedelta(minutes=1)
    assert await steps(world, alarm) == [Step.RAISED, Step.CLEARED]


async def test_station_offline_may_be_said_again_and_again(world: World) -> None:
    where = {"operator_id": world.station.operator_id, "station_id": world.station.id}
    session = world.session
    assert await alarms.raise_station_offline(session, **where, now=START)
    assert not await alarms.raise_station_offline(session, **where, now=END)
    assert await alarms.clear_station_offline(session, **where, now=END)
    assert not await alarms.clear_station_offline(session, **where, now=END)
    alarm = await only_alarm(world)
    assert (alarm.code, alarm.severity) == ("station_offline", Severity.MAJOR)


async def test_who_saw_it_first_stands_and_the_station_is_told_once(world: World) -> None:
    await world.deliver(raised(1))
    alarm = await only_alarm(world)
    for name in ("li", "wang"):
        await life.acknowledge(world.session, **who(world, alarm), by=name)
    echo = AlarmAcknowledged(occurred_at=END, alarm_id=UUID(int=1), by="li", at_hq=True)
    on_site = AlarmAcknowledged(occurred_at=END, alarm_id=UUID(int=1), by="门卫")
    await world.deliver(echo, on_site)
    alarm = await only_alarm(world)
    assert (alarm.acknowledged_by, alarm.cleared_at) == ("li", None)
    assert await steps(world, alarm) == [Step.RAISED, Step.ACKNOWLEDGED]
    assert await sent(world, "AcknowledgeAlarm") == [
        AcknowledgeAlarm(alarm_id=UUID(int=1), by="li")
    ]
    wrong = who(world, alarm) | {"operator_id": uuid4()}
    with pytest.raises(life.AlarmNotFoundError):
        await life.acknowledge(world.session, **wrong, by="x")


async def test_what_is_done_on_site_is_in_the_history(world: World) -> None:
    facts = (
        AlarmEscalated(occurred_at=START + timedelta(minutes=2), alarm_id=UUID(int=1), level=1),
        SirenSilenced(occurred_at=START + timedelta(minutes=3), alarm_id=UUID(int=1), by="王"),
        AlarmAcknowledged(occurred_at=START + timedelta(minutes=4), alarm_id=UUID(int=1), by="王"),
    )
    await world.deliver(raised(1), *facts, *facts)
    await world.deliver(cleared(1, minute=5, reason="reset"))
    alarm = await only_alarm(world)
    assert await steps(world, alarm) == [
        Step.RAISED,
        Step.ESCALATED,
        Step.SILENCED,
        Step.ACKNOWLEDGED,
        Step.CLEARED,
    ]
    assert (alarm.acknowledged_by, alarm.silenced_by, alarm.cleared_reason) == ("王", "王", "reset")
    # Facts about an alarm that HQ never heard of do no harm.
    await world.deliver(AlarmEscalated(occurred_at=END, alarm_id=uuid4(), level=1))


async def test_an_alarm_is_put_aside_for_hours_and_never_a_critical_one(world: World) -> None:
    await world.deliver(raised(1), minor(2))
    critical, door = sorted(await all_alarms(world), key=lambda alarm: alarm.code)
    session, until = world.session, END + timedelta(hours=8)
    with pytest.raises(life.CriticalAlarmError):
        await life.shelve(session, **who(world, critical), until=until, reason="painting", by="li")
    for wrong in (END, until + timedelta(seconds=1)):
        with pytest.raises(life.ShelvedTooLongError):
            await life.shelve(session, **who(world, door), until=wrong, reason="…", by="li")
    await life.shelve(session, **who(world, door), until=until, reason="painting", by="li")
    echo = AlarmShelved(
        occurred_at=END, alarm_id=UUID(int=2), until=until, reason="painting", by="li"
    )
    await world.deliver(echo)
    operator_id = world.station.operator_id
    for view, now, expected in (
        (View.SHELVED, END, {"door_open"}),
        (View.UNSEEN, END, {HOT}),
        (View.UNSEEN, until, {HOT, "door_open"}),
        (View.OPEN, END, {HOT, "door_open"}),
    ):
        found = await session.scalars(queries.matching(operator_id, Filter(view=view), now))
        assert {alarm.code for alarm in found} == expected, view
    for _ in range(2):
        now = END + timedelta(seconds=1)
        await life.unshelve(session, **who(world, door, now), by="li")
    told = [(command.until, command.reason) for command in await sent(world, "ShelveAlarm")]
    assert told == [(until, "painting"), (None, "")]
    assert await steps(world, door) == [Step.RAISED, Step.SHELVED, Step.UNSHELVED]


async def test_what_its_station_refused_to_put_aside_is_back(world: World) -> None:
    await world.deliver(minor(1))
    alarm = await only_alarm(world)
    until = END + timedelta(hours=1)
    wish = {"until": until, "reason": "painting", "by": "li"}
    await life.shelve(world.session, **who(world, alarm), **wish)
    [row] = await world.commands("ShelveAlarm")
    refused = CommandSettled(
        occurred_at=END + ONE_MINUTE,
        command_id=row.id,
        outcome=Outcome.REJECTED,
        reason="until",
    )
    await world.deliver(refused, refused)
    assert (await only_alarm(world)).shelved_until is None
    assert await steps(world, alarm) == [Step.RAISED, Step.SHELVED, Step.UNSHELVED]
    # Put aside anew, it is not taken back by what was said of the first wish.
    await life.shelve(world.session, **who(world, alarm), **wish | {"until": until + ONE_MINUTE})
    await world.deliver(refused)
    assert (await only_alarm(world)).shelved_until == until + ONE_MINUTE


async def test_what_becomes_worse_has_to_be_seen_again(world: World) -> None:
    warm = {"code": "heat", "severity": Severity.MAJOR}
    await world.deliver(raised(1, **warm))
    alarm = await only_alarm(world)
    await life.acknowledge(world.session, **who(world, alarm), by="li")
    until = END + timedelta(hours=1)
    await life.shelve(world.session, **who(world, alarm), until=until, reason="hot day", by="li")
    worse = {"code": "heat", "severity": Severity.CRITICAL}
    await world.deliver(raised(2, minute=1, **worse))
    alarm = await only_alarm(world)
    assert (alarm.severity, alarm.acknowledged_at, alarm.shelved_until) == (
        Severity.CRITICAL,
        None,
        None,
    )
    # Put aside before it was known better, or a critical one put aside: neither hides it.
    for number in (1, 2):
        late = AlarmShelved(
            occurred_at=END, alarm_id=UUID(int=number), until=until, reason="hot day", by="王"
        )
        await world.deliver(late)
        assert (await only_alarm(world)).shelved_until is None


async def test_a_cause_that_comes_back_has_to_be_seen_again(world: World) -> None:
    await world.deliver(minor(1))
    alarm = await only_alarm(world)
    await life.acknowledge(world.session, **who(world, alarm), by="li")
    acknowledged = AlarmAcknowledged(occurred_at=END, alarm_id=UUID(int=1), by="li", at_hq=True)
    escalated = AlarmEscalated(occurred_at=END, alarm_id=UUID(int=1), level=1)
    later = END + timedelta(minutes=1)
    await world.deliver(acknowledged, escalated, minor(2, occurred_at=later))
    # What was said of it before comes once more.
    await world.deliver(minor(1), acknowledged, escalated)
    alarm = await only_alarm(world)
    assert (alarm.acknowledged_at, alarm.escalation_level, alarm.repeats) == (None, 0, 1)
    assert (await steps(world, alarm))[-1] is Step.RAISED
    assert (alarm.alarm_id, alarm.anew) == (UUID(int=2), 1)


async def test_one_that_was_over_before_it_came_leaves_a_newer_one_open(world: World) -> None:
    await world.deliver(cleared(1), raised(2, minute=2), raised(1))
    first, second = await all_alarms(world)
    assert (first.alarm_id, await steps(world, first)) == (
        UUID(int=1),
        [Step.RAISED, Step.CLEARED],
    )
    assert (second.alarm_id, second.cleared_at, second.repeats) == (UUID(int=2), None, 0)


async def test_what_comes_before_its_alarm_waits_for_it(world: World) -> None:
    until = END + timedelta(hours=1)
    seen = AlarmAcknowledged(occurred_at=START, alarm_id=UUID(int=1), by="王")
    aside = AlarmShelved(
        occurred_at=START, alarm_id=UUID(int=1), until=until, reason="lock", by="王"
    )
    sound_off = SirenSilenced(occurred_at=START, alarm_id=UUID(int=1), by="王")
    await world.deliver(seen, aside, sound_off, seen)
    assert await all_alarms(world) == []
    await world.deliver(minor(1), minor(1))
    alarm = await only_alarm(world)
    assert (alarm.acknowledged_by, alarm.shelved_until, alarm.silenced_by) == ("王", until, "王")
    assert (await world.session.scalars(select(Early))).all() == []


async def test_a_drill_never_hides_the_real_thing(world: World) -> None:
    smoke = {"code": "smoke", "object": "zone:A"}
    await world.deliver(raised(1, drill=True, **smoke), raised(2, minute=1, **smoke))
    alarm = await only_alarm(world)
    assert (alarm.drill, await steps(world, alarm)) == (False, [Step.RAISED, Step.WORSENED])
    await world.deliver(raised(3, minute=2, drill=True, params={"x": "drill"}, **smoke))
    alarm = await only_alarm(world)
    assert (alarm.drill, alarm.params) == (False, {"temperature_c": "61"})


async def test_stations_are_told_under_the_id_they_use_now(world: World) -> None:
    # After a lost disk the station gives the same cause a new id.
    await world.deliver(raised(1), raised(2, minute=1))
    alarm = await only_alarm(world)
    await life.acknowledge(world.session, **who(world, alarm), by="li")
    assert await sent(world, "AcknowledgeAlarm") == [
        AcknowledgeAlarm(alarm_id=UUID(int=2), by="li")
    ]


def reported(minute: int, *open_ids: UUID) -> StationStateReported:
    return StationStateReported(
        occurred_at=START + timedelta(minutes=minute),
        connectors=(),
        charge_points=(),
        open_transaction_ids=(),
        open_alarm_ids=open_ids,
        access_version=99,
        registry_version=99,
    )


def timed(minute: int) -> UUID:
    return uuid7(to_ms(START + timedelta(minutes=minute)))


async def test_what_a_station_has_forgotten_is_closed_and_nothing_else(world: World) -> None:
    gone, stands, later = timed(0), timed(0), timed(9)
    await alarms.raise_station_offline(
        world.session,
        operator_id=world.station.operator_id,
        station_id=world.station.id,
        now=START,
    )
    await world.deliver(
        raised(0, alarm_id=gone, object="connector:1:1"),
        raised(0, alarm_id=stands, object="connector:1:2"),
        raised(0, alarm_id=later, object="connector:1:3", minute=9),
        reported(5, stands),
    )
    over = {row.object: row.cleared_reason for row in await all_alarms(world) if row.cleared_at}
    assert over == {"connector:1:1": alarms.FORGOTTEN}


async def test_a_report_that_is_late_closes_nothing_that_has_become_worse_since(
    world: World,
) -> None:
    first, second = timed(0), timed(7)
    heat = {"code": "heat", "object": "zone:A"}
    await world.deliver(
        raised(0, alarm_id=first, severity=Severity.MAJOR, **heat),
        raised(0, alarm_id=second, minute=7, **heat),
        reported(5, first),
    )
    alarm = await only_alarm(world)
    assert (alarm.alarm_id, alarm.cleared_at) == (second, None)


async def test_stations_are_not_told_of_what_only_hq_knows(world: World) -> None:
    where = {"operator_id": world.station.operator_id, "station_id": world.station.id}
    await alarms.raise_station_offline(world.session, **where, now=START)
    alarm = await only_alarm(world)
    until = END + timedelta(hours=1)
    await life.acknowledge(world.session, **who(world, alarm), by="li")
    await life.shelve(world.session, **who(world, alarm), until=until, reason="move", by="li")
    assert [*await sent(world, "AcknowledgeAlarm"), *await sent(world, "ShelveAlarm")] == []
    await alarms.clear_station_offline(world.session, **where, now=END)
    with pytest.raises(life.AlarmOverError):
        await life.shelve(world.session, **who(world, alarm), until=until, reason="…", by="li")


async def test_groups_show_the_worst_first(world: World) -> None:
    await world.deliver(
        *(minor(number, object=f"sensor:door{number}") for number in range(1, 6)),
        raised(9),
        raised(10, object="connector:1:2"),
        raised(11, code="siren_drill", severity=Severity.INFO, object="station", drill=True),
    )
    operator_id = world.station.operator_id
    found = await queries.groups(world.session, operator_id, Filter(), END)
    assert [(group.code, group.severity, group.count, group.unseen) for group in found] == [
        (HOT, Severity.CRITICAL, 2, 2),
        ("door_open", Severity.MINOR, 5, 5),
        ("siren_drill", Severity.INFO, 1, 1),
    ]
    assert found[0].objects == ["connector:1:1", "connector:1:2"]
    only = Filter(severities=(Severity.MINOR,), code="door_open", drill=False, since=START)
    assert [group.count for group in await queries.groups(world.session, operator_id, only, END)]
    rows, count, aside = await queries.open_alarms(world.session, operator_id, now=END, limit=3)
    assert (count, aside, [row.code for row in rows]) == (8, 0, [HOT, HOT, "door_open"])


async def test_what_is_put_aside_is_counted_apart(world: World) -> None:
    await world.deliver(minor(1), minor(2, object="sensor:door2"), raised(3))
    operator_id = world.station.operator_id
    door = next(row for row in await all_alarms(world) if row.severity is Severity.MINOR)
    until = END + timedelta(hours=1)
    await life.shelve(world.session, **who(world, door), until=until, reason="lock", by="li")

    async def counted(now: datetime) -> tuple[int, ...]:
        _, count, aside = await queries.open_alarms(world.session, operator_id, now=now, limit=9)
        counts = await queries.counts_by_severity(world.session, operator_id, now)
        apart = await queries.count_aside(world.session, operator_id, now)
        groups = await queries.groups(world.session, operator_id, Filter(), now)
        assert (sum(counts.values()), sum(group.aside for group in groups)) == (count, aside)
        return count, counts[Severity.MINOR], aside, apart

    assert await counted(END) == (2, 1, 1, 1)
    assert await counted(until) == (3, 2, 0, 0)


async def test_a_group_says_what_the_newest_of_its_worst_says(world: World) -> None:
    def fault(number: int, severity: Severity, faults: str, *, drill: bool = False) -> AlarmRaised:
        return raised(
            number,
            minute=number,
            code="charge_point_fault",
            severity=severity,
            object=f"charge_point:{number}",
            params={"faults": faults},
            drill=drill,
        )

    await world.deliver(
        fault(1, Severity.MAJOR, "older"),
        fault(2, Severity.MAJOR, "worst"),
        fault(3, Severity.MINOR, "newest"),
        fault(4, Severity.CRITICAL, "tried", drill=True),
    )
    [group] = await queries.groups(world.session, world.station.operator_id, Filter(), END)
    read = GroupRead.of(group, world.station.station_no, chinese=False)
    assert read.title == "Charge point fault: worst"


async def test_a_long_list_is_read_in_parts_worst_first(world: World) -> None:
    await world.deliver(
        *(minor(number, object=f"sensor:door{number}") for number in range(1, 6)),
        *(raised(number, object=f"connector:1:{number}") for number in range(6, 9)),
        raised(9, code="smoke", drill=True),
    )
    statement = queries.matching(world.station.operator_id, Filter(), END)
    cursor, codes, seen = "", [], set()
    for limit in (2, 2, 2, 2, 2):
        rows, cursor = await queries.worst_first(
            world.session, statement, cursor=cursor, limit=limit
        )
        codes += [row.code for row in rows]
        seen |= {row.id for row in rows}
    assert (cursor, len(seen)) == ("", 9)
    assert codes == [HOT] * 3 + ["door_open"] * 5 + ["smoke"]
    with pytest.raises(CursorError):
        await queries.worst_first(world.session, statement, cursor="x.y", limit=2)


async def test_what_comes_in_one_batch_is_listed_by_when_it_was_raised(world: World) -> None:
    """A batch is all received at once, and may tell of what was raised later first."""
    minutes = (3, 1, 5, 2, 4)
    await world.deliver(*(minor(n, minute=n, object=f"sensor:door{n}") for n in minutes))
    operator_id = world.station.operator_id
    newest = [f"sensor:door{n}" for n in (5, 4, 3, 2, 1)]
    rows, *_ = await queries.open_alarms(world.session, operator_id, now=END, limit=9)
    assert [row.object for row in rows] == newest
    statement = queries.matching(operator_id, Filter(), END)
    cursor, objects = "", []
    for limit in (2, 2, 2):
        part, cursor = await queries.worst_first(
            world.session, statement, cursor=cursor, limit=limit
        )
        objects += [row.object for row in part]
    assert (objects, cursor) == (newest, "")


async def test_a_trip_gets_its_figures_as_they_come(world: World) -> None:
    tripped = SafetyTripped(
        occurred_at=START,
        trip_id=UUID(int=9),
        cause="smoke",
        connectors=((CHARGE_POINT_NO, 1),),
        stop_sent_us=412,
        object="sensor:smoke-a",
        zone="A",
    )
    siren = msgspec.structs.replace(tripped, siren_us=9_000)
    complete = msgspec.structs.replace(
        siren, zero_current_ms=1800, contactors=("k1",), contactor_us=21_000
    )
    await world.deliver(tripped, complete, siren, tripped)
    [trip] = (
        await world.session.scalars(select(Trip).execution_options(populate_existing=True))
    ).all()
    assert (trip.stop_sent_us, trip.zero_current_ms) == (412, 1800)
    assert (trip.siren_us, trip.contactor_us, trip.contactors) == (9_000, 21_000, ["k1"])
    assert (trip.object, trip.zone) == ("sensor:smoke-a", "A")
    assert trip.connectors == [[CHARGE_POINT_NO, 1]]


async def test_a_drill_is_kept_once(world: World) -> None:
    outputs = (
        OutputTested("siren", True, 40),
        OutputTested("strobe", False, None, "reads back off"),
    )
    drill = DrillFinished(occurred_at=START, drill_id=UUID(int=4), by="王", outputs=outputs)
    await world.deliver(drill, drill)
    [row] = (await world.session.scalars(select(Drill))).all()
    assert (row.ok, row.by, row.outputs[1]["detail"]) == (False, "王", "reads back off")


def test_commands_are_what_stations_read() -> None:
    command = ShelveAlarm(alarm_id=UUID(int=1), until=END, reason="r", by="li")
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(command), type=ShelveAlarm) == command
