"""Why a bill is what it is, whether the books agree, and what a spreadsheet gets."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import select

from cloud.core.commands import CommandRow, settle_command
from cloud.core.db import Sessions
from cloud.orders.explain import explain_order
from cloud.orders.export import order_line
from cloud.orders.frames import fetch_frames
from cloud.orders.queries import OrderFilter, filtered
from cloud.orders.reconcile import day_bounds, reconcile
from cloud.orders.rendering import as_data, as_text
from cloud.orders.rules import OrderState
from cloud.orders.service import OrderNotFoundError
from shared.clock import SystemClock
from shared.contracts.commands import FetchFrames
from shared.contracts.events import FrameReference, TransactionFramesLogged
from shared.contracts.words import Outcome
from tests.component.cloud.slices.world import END, World

FRAMES = b"2026-11-22T06:40:00+08:00 < 6813\n2026-11-22T06:40:15+08:00 < 6813\n"
REFERENCE = FrameReference(
    "55031412782305/2026-11-22.hex", 10, 11, hashlib.sha256(FRAMES).hexdigest()
)
DAY = date(2026, 11, 22)


async def test_from_readings_to_rounding(world: World) -> None:
    await world.deliver(world.authorized(), world.ended(frames=(REFERENCE,)))
    order = await world.only_order()
    explained = await explain_order(world.session, str(order.id))
    assert [(s.slot, s.period, s.energy_dwh) for s in explained.segments] == [
        (13, "valley", 201_234),
        (14, "flat", 298_767),
        (15, "flat", 299_998),
        (16, "peak", 100_001),
    ]
    assert [p.record_energy_dwh for p in explained.periods] == [0, 100_001, 598_765, 201_234]
    assert [p.readings_energy_dwh for p in explained.periods] == [0, 100_001, 598_765, 201_234]
    assert (explained.total_nano, explained.hq_fen, explained.payable_fen) == (
        91_368_251_331,
        9137,
        9137,
    )
    assert (explained.raw_record, explained.raw_frames) == ("683b", ["6831"])
    assert explained.frames[0].status == "not_fetched"
    for reference in (str(UUID(int=1)), order.transaction_no):
        assert (await explain_order(world.session, reference)).order_id == order.id
    data = json.loads(json.dumps(as_data(explained)))
    assert data["total_nano"] == 91_368_251_331
    text = as_text(explained)
    for part in ("91.368251331 yuan → 91.37", "20.1234", "683b", "amount_nano", "bill 1"):
        assert part in text


async def test_an_order_without_a_bill_is_explained_as_far_as_it_is_known(world: World) -> None:
    await world.deliver(world.started())
    explained = await explain_order(world.session, str(UUID(int=1)))
    assert (explained.state, explained.basis, explained.lines) == (OrderState.CHARGING, None, [])
    assert "nothing yet" in as_text(explained)


async def test_unknown_orders_and_those_of_others_are_not_there(world: World) -> None:
    await world.deliver(world.started())
    for reference, operator_id in (("?", None), (str(UUID(int=1)), UUID(int=5))):
        with pytest.raises(OrderNotFoundError):
            await explain_order(world.session, reference, operator_id=operator_id)


class _Shared:
    """Hands out the test's own session, so that everything is rolled back after it."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self.lock = asyncio.Lock()

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[AsyncSession]:
        async with self.lock:
            yield _Uncommitted(self._session)  # type: ignore[misc]

    def __call__(self) -> object:
        return self._open()


class _Uncommitted:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def begin(self) -> object:
        return self._session.begin_nested()

    def __getattr__(self, name: str) -> object:
        return getattr(self._session, name)


async def _answer(world: World, shared: _Shared, outcome: Outcome, answer: bytes) -> None:
    """Be the station: answer the first request for frames."""
    while True:
        async with shared.lock:
            row = await world.session.scalar(
                select(CommandRow).where(CommandRow.kind == "FetchFrames")
            )
            if row is not None:
                assert row.read_command() == FetchFrames(
                    file=REFERENCE.file, first_line=10, last_line=11
                )
                await settle_command(
                    world.session,
                    station_id=world.station.id,
                    command_id=row.id,
                    outcome=outcome,
                    reason="",
                    answer=answer,
                    now=END,
                )
                await world.session.flush()
                return
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("outcome", "answer", "status"),
    [
        (Outcome.DONE, FRAMES, "fetched"),
        (Outcome.DONE, FRAMES[:-2], "changed"),
        (Outcome.FAILED, b"", "failed"),
        (Outcome.EXPIRED, b"", "unreachable"),
    ],
)
async def test_frames_come_from_the_station(
    world: World, outcome: Outcome, answer: bytes, status: str
) -> None:
    world.station.online = True
    await world.deliver(world.ended(frames=(REFERENCE,)))
    explained = await explain_order(world.session, str(UUID(int=1)))
    shared = _Shared(world.session)
    sessions: Sessions = shared  # type: ignore[assignment]
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_answer(world, shared, outcome, answer))
        tasks.create_task(fetch_frames(sessions, SystemClock(), explained, timeout_s=20))
    assert explained.frames[0].status == status
    assert len(explained.frames[0].lines) == (2 if outcome is Outcome.DONE else 0)


async def test_a_station_that_is_away_is_said_to_be(world: World) -> None:
    await world.deliver(world.ended(frames=(REFERENCE,)))
    explained = await explain_order(world.session, str(UUID(int=1)))
    sessions: Sessions = _Shared(world.session)  # type: ignore[assignment]
    await fetch_frames(sessions, SystemClock(), explained)
    assert explained.frames[0].status == "unreachable"
    assert await world.commands("FetchFrames") == []


async def test_books_that_agree(world: World) -> None:
    await world.deliver(world.ended())
    [day] = await reconcile(world.session, day=None, now=END)
    assert (day.day, day.orders, day.ok, day.differences) == (DAY, 1, True, ())
    assert (day.hq_fen, day.station_fen, day.charge_point_fen, day.charged_fen) == (9137,) * 4
    [before] = await reconcile(world.session, day=date(2026, 11, 21), now=END)
    assert before.orders == 0


async def test_one_fen_more_anywhere_is_listed(world: World) -> None:
    bill = world.ended().station_bill
    assert bill is not None
    from msgspec.structs import replace

    await world.deliver(world.ended(station_bill=replace(bill, payable_fen=9138)))
    [day] = await reconcile(world.session, day=DAY, now=END, station_no="1001")
    assert not day.ok
    assert [(d.station_fen, d.hq_fen, d.explained) for d in day.differences] == [
        (9138, 9137, False)
    ]


async def test_a_charge_points_rounding_is_explained(world: World) -> None:
    rounded = world.record(amount_e4=913_700 + 100)
    await world.deliver(world.ended(record=rounded, rounds_to_fen=True))
    [day] = await reconcile(world.session, day=DAY, now=END)
    assert day.ok
    assert [(d.charge_point_fen, d.explained) for d in day.differences] == [(9138, True)]


def test_a_local_day_may_have_25_hours() -> None:
    start, end = day_bounds(date(2026, 10, 25), ZoneInfo("Europe/Berlin"))
    assert (end.timestamp() - start.timestamp()) / 3600 == 25


async def test_an_export_is_what_the_filter_says(world: World) -> None:
    await world.deliver(world.ended(vin="=HYPERLINK(1)"))
    operator_id = world.station.operator_id

    async def export(**wanted: object) -> list[str]:
        statement = await filtered(
            world.session,
            operator_id,
            OrderFilter(**wanted),  # type: ignore[arg-type]
        )
        orders = await world.session.scalars(statement)
        return [order_line(order, world.station).decode() for order in orders]

    [row] = await export(
        station_no="1001", state=OrderState.BILLED, connector_no=1, token="d14b0a54f1c2e3a4"
    )
    assert "2026-11-22T06:40:00+08:00" in row
    assert ",90.0000,91.37," in row
    assert ",'=HYPERLINK(1)," in row
    for nothing in ({"state": OrderState.FAILED}, {"connector_no": 2}, {"created_from": END}):
        assert len(await export(**nothing)) == (1 if "created_from" in nothing else 0)


async def test_where_the_frames_stand_may_be_told_after_the_end(world: World) -> None:
    logged = TransactionFramesLogged(**world.names, occurred_at=END, frames=(REFERENCE,))
    await world.deliver(world.authorized(), world.ended())
    before = await world.only_order()
    state, bills = before.state, before.payable_fen
    await world.deliver(logged)
    await world.deliver(logged)
    order = await world.only_order()
    explained = await explain_order(world.session, str(order.id))
    assert [(each.file, each.first_line) for each in explained.frames] == [(REFERENCE.file, 10)]
    assert (order.state, order.payable_fen, len(explained.versions)) == (state, bills, 1)
