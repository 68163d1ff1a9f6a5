"""However late, and however often, facts about alarms arrive: HQ ends with what the station holds.

The station's own book makes the facts; HQ's handlers take them on a real database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Struct
from sqlalchemy import NullPool
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine
from sqlmodel import SQLModel, col, select

from cloud.alarms import life
from cloud.alarms.models import Alarm, Early
from cloud.core.commands import CommandRow
from cloud.core.json import dumps_text
from edge.devices.chargers.reports import Moment
from edge.station.alarms import AlarmBook, AlarmError, OpenAlarm, severity_of
from ops.embedded import EmbeddedServers
from shared.clock import from_ms, to_ms
from shared.contracts.commands import AcknowledgeAlarm, ShelveAlarm
from shared.contracts.events import AnyEvent
from shared.contracts.words import Severity
from tests.component.cloud.slices import conftest as slices
from tests.component.cloud.slices.world import HANDLERS, START, World, build_world

CAUSES = (("heat", "zone:A"), ("door_open", "zone:A"))
PEOPLE = ("acknowledge", "silence", "shelve", "unshelve", "hq_acknowledge", "hq_shelve")
WHATS = ("raise", "raise", "raise", "gone", "gone", "clear", "time", "restart", *PEOPLE)
JUMPS_S = (0, 0, 0, -90_000, 90_000)


class Do(Struct, frozen=True):
    """One thing that happens; what the numbers mean depends on `what`."""

    what: str
    cause: int = 0
    severity: Severity | None = None
    drill: bool = False
    number: int = 0
    held: int = 0
    """How many steps later its facts arrive; a batch that was set aside is handled by hand."""
    again: int = 0
    """How many steps later they arrive once more, 0 for never."""
    joins: bool = False
    """Whether its facts go into the batch of those before, if that has not arrived yet."""


steps = st.lists(
    st.builds(
        Do,
        what=st.sampled_from(WHATS),
        cause=st.integers(0, len(CAUSES) - 1),
        severity=st.sampled_from([None, Severity.MINOR, Severity.MAJOR, Severity.CRITICAL]),
        drill=st.booleans(),
        number=st.integers(0, 300),
        held=st.sampled_from((0, 0, 1, 2, 4, 8)),
        again=st.sampled_from((0, 0, 0, 3)),
        joins=st.booleans(),
    ),
    min_size=12,
    max_size=40,
)


class Lives:
    """A station, HQ, and the way between them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.now = Moment(to_ms(START), 100.0)
        self.disk: dict[str, bytes] = {}
        self.book = AlarmBook({})
        self.step = self.seq = self.arrives = 0
        self.on_the_way: list[tuple[int, int, AnyEvent]] = []
        self.read_commands: set[UUID] = set()

    async def do(self, do: Do) -> None:
        self.step += 1
        self.now = Moment(self.now.wall_ms + 1000, self.now.mono_s + 1)
        await self._act(do)
        await self.arrive(self.step)
        await self.station_hears(do)

    async def _act(self, do: Do) -> None:
        code, subject = CAUSES[do.cause]
        book, wall_ms = self.book, self.now.wall_ms
        match do.what:
            case "raise":
                known = book.find(code, subject)
                # What is real stays real until it is over.
                drill = do.drill and (known is None or known.drill)
                self.tell(
                    do,
                    book.raise_finding(
                        code, subject, wall_ms, {}, severity=do.severity, drill=drill
                    ),
                )
            case "gone":
                self.tell(do, book.cause_gone(code, subject))
            case "clear":
                self.tell(do, book.clear_alarm(code, subject, wall_ms))
            case "time":
                passed_s = do.number * 30
                jump_s = JUMPS_S[do.number % len(JUMPS_S)]
                self.now = Moment(wall_ms + (passed_s + jump_s) * 1000, self.now.mono_s + passed_s)
                self.tell(do, book.tick(self.now)[0])
            case "restart":
                self.book = AlarmBook(dict(self.disk))
            case "hq_acknowledge" | "hq_shelve":
                await self.hq(do)
            case _ if alarm := book.find(code, subject):
                self.people(do, alarm)

    def people(self, do: Do, alarm: OpenAlarm) -> None:
        wall_ms = self.now.wall_ms
        until_ms = wall_ms + 60_000 * (1 + do.number) if do.what == "shelve" else None
        try:
            match do.what:
                case "acknowledge":
                    self.tell(do, self.book.acknowledge(alarm.alarm_id, "Li", wall_ms))
                case "silence":
                    self.tell(do, self.book.silence(alarm.alarm_id, "Li", wall_ms))
                case _:
                    self.tell(
                        do, self.book.shelve(alarm.alarm_id, until_ms, "rain", "Li", self.now)
                    )
        except AlarmError:
            assert alarm.is_critical

    def tell(self, do: Do, effects: Any) -> None:
        for change in effects.changes:
            if blob := getattr(change, "blob", None):
                self.disk[change.key] = blob
            else:
                del self.disk[change.key]
        for event in effects.events:
            if not (do.joins and self.step <= self.arrives):
                self.seq, self.arrives = self.seq + 1, self.step + do.held
            self.on_the_way.append((self.arrives, self.seq, event))
            if do.again:
                self.on_the_way.append((self.arrives + do.again, self.seq, event))

    async def arrive(self, step: int) -> None:
        due = [each for each in self.on_the_way if each[0] <= step]
        self.on_the_way = [each for each in self.on_the_way if each[0] > step]
        for _, seq, event in sorted(due, key=lambda each: each[:2]):
            context = replace(self.world.context(), stream_id=1, seq=seq)
            for handler in HANDLERS[type(event)]:
                await handler(self.world.session, context, event)

    async def hq(self, do: Do) -> None:
        alarms = [each for each in await self.at_hq() if each.code == CAUSES[do.cause][0]]
        if not alarms:
            return
        alarm, session, now = alarms[0], self.world.session, from_ms(self.now.wall_ms)
        who: dict[str, Any] = {"operator_id": alarm.operator_id, "alarm_id": alarm.id, "by": "wang"}
        if do.what == "hq_acknowledge":
            await life.acknowledge(session, **who, now=now)
        elif alarm.severity is not Severity.CRITICAL:
            until = now + timedelta(minutes=1 + do.number)
            await life.shelve(session, **who, until=until, reason="rain", now=now)

    async def station_hears(self, do: Do) -> None:
        """Carry out HQ's commands as the station does: what it does not know is refused."""
        unread = col(CommandRow.id).not_in(self.read_commands)
        rows = (await self.world.session.scalars(select(CommandRow).where(unread))).all()
        self.read_commands |= {row.id for row in rows}
        for row in rows:
            try:
                match row.read_command():
                    case AcknowledgeAlarm(alarm_id=alarm_id, by=by):
                        effects = self.book.acknowledge(alarm_id, by, self.now.wall_ms, at_hq=True)
                    case ShelveAlarm(alarm_id=alarm_id, until=until, reason=reason, by=by):
                        until_ms = to_ms(until) if until is not None else None
                        effects = self.book.shelve(alarm_id, until_ms, reason, by, self.now)
                    case _:
                        continue
            except AlarmError:
                continue
            self.tell(do, effects)

    async def at_hq(self) -> list[Alarm]:
        statement = select(Alarm).where(col(Alarm.cleared_at).is_(None)).order_by(col(Alarm.id))
        rows = await self.world.session.scalars(statement.execution_options(populate_existing=True))
        return list(rows)

    async def check(self) -> None:
        await self.arrive(self.step + 1_000)
        here = {alarm.alarm_id: as_held(alarm) for alarm in self.book.open_alarms()}
        there = {alarm.alarm_id: as_known(alarm) for alarm in await self.at_hq()}
        for alarm in self.book.open_alarms():
            if alarm.drill and not there[alarm.alarm_id][3]:
                # The end of a real one was late: no drill takes its place.
                there[alarm.alarm_id] = here[alarm.alarm_id]
        assert there == here
        assert (await self.world.session.scalars(select(Early))).all() == []


def as_held(alarm: OpenAlarm) -> tuple[Any, ...]:
    return (
        alarm.code,
        alarm.object,
        severity_of(alarm),
        alarm.drill,
        alarm.acknowledged_ms is not None,
        alarm.silenced,
        alarm.shelved_until_ms,
        alarm.escalation,
    )


def as_known(alarm: Alarm) -> tuple[Any, ...]:
    return (
        alarm.code,
        alarm.object,
        alarm.severity,
        alarm.drill,
        alarm.acknowledged_at is not None,
        alarm.silenced_at is not None,
        to_ms(alarm.shelved_until) if alarm.shelved_until else None,
        alarm.escalation_level,
    )


Play = Callable[[Callable[[Lives], Awaitable[None]]], None]


@pytest.fixture(scope="module")
def play(servers: EmbeddedServers) -> Play:
    """Play a life in a database, and undo it."""
    assert slices.__doc__, "its imports are all tables"
    url = servers.create_database("alarm_lives")

    async def in_transaction(act: Callable[[AsyncConnection], Awaitable[None]]) -> None:
        engine = create_async_engine(url, poolclass=NullPool, json_serializer=dumps_text)
        async with engine.connect() as connection:
            await act(connection)
        await engine.dispose()

    async def make_tables(connection: AsyncConnection) -> None:
        await connection.run_sync(SQLModel.metadata.create_all)
        await connection.commit()

    asyncio.run(in_transaction(make_tables))

    def run(live: Callable[[Lives], Awaitable[None]]) -> None:
        async def act(connection: AsyncConnection) -> None:
            outer = await connection.begin()
            async with AsyncSession(connection, expire_on_commit=False) as session:
                await live(Lives(await build_world(session)))
            await outer.rollback()

        asyncio.run(in_transaction(act))

    return run


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(script=steps)
def test_hq_ends_with_what_the_station_holds(play: Play, script: list[Do]) -> None:
    async def live(lives: Lives) -> None:
        for do in script:
            await lives.do(do)
        await lives.check()

    play(live)
