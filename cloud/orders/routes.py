"""Orders over HTTP: lists, detail, remote start and stop, review, explanation, export."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime
from sqlmodel import col

from cloud.billing import service as billing
from cloud.core.audit import note_change, record_call
from cloud.core.conditional import ConditionalRoute
from cloud.core.csv_export import csv_answer
from cloud.core.db import SessionDep, Sessions
from cloud.core.deps import ClockDep, Dispatcher, Reader
from cloud.core.errors import error_responses
from cloud.core.idempotency import IdempotencyDep, KeyReusedError
from cloud.core.json import FastJson
from cloud.core.pagination import Page, PageDep, newest_first
from cloud.orders import queries, service
from cloud.orders.explain import explain_order
from cloud.orders.export import order_lines
from cloud.orders.facts import fact_as_json, facts_of
from cloud.orders.frames import fetch_frames
from cloud.orders.models import Order
from cloud.orders.queries import OrderFilter
from cloud.orders.reconcile import reconcile
from cloud.orders.rendering import as_data
from cloud.orders.rules import OrderState
from cloud.orders.schemas import (
    BillRead,
    DecisionBody,
    DecisionRead,
    OrderDetail,
    OrderRead,
    QueueEntry,
    ReviewRead,
    StartBody,
    StartRead,
    StopRead,
    TimelineEntry,
)
from cloud.stations import lookup
from cloud.stations.lookup import ChargePointNotFoundError, StationNotFoundError
from shared.contracts.events import Token
from shared.tokens import normalise

router = APIRouter(prefix="/api/v1/orders", tags=["orders"], route_class=ConditionalRoute)


def _filter(
    *,
    station: str = "",
    state: OrderState | None = None,
    created_from: AwareDatetime | None = None,
    created_to: AwareDatetime | None = None,
    charge_point_no: str = "",
    connector_no: Annotated[int | None, Query(ge=0, le=255)] = None,
    token: str = "",
    transaction_no: str = "",
    parallel_no: str = "",
) -> OrderFilter:
    return OrderFilter(
        station_no=station,
        state=state,
        created_from=created_from,
        created_to=created_to,
        charge_point_no=charge_point_no,
        connector_no=connector_no,
        token=token,
        transaction_no=transaction_no,
        parallel_no=parallel_no,
    )


FilterDep = Annotated[OrderFilter, Depends(_filter)]


@router.get("", operation_id="orders_list", responses=error_responses(StationNotFoundError))
async def list_orders(
    session: SessionDep, staff: Reader, page: PageDep, wanted: FilterDep
) -> Page[OrderRead]:
    """List orders, newest first."""
    statement = await queries.filtered(session, staff.operator_id, wanted)
    rows, cursor = await newest_first(session, statement, page, id_column=col(Order.id))
    return Page(items=[OrderRead.of(row) for row in rows], next_cursor=cursor)


@router.post(
    "",
    status_code=202,
    operation_id="orders_start",
    responses=error_responses(
        StationNotFoundError, ChargePointNotFoundError, service.TokenRefusedError, KeyReusedError
    ),
)
async def start_order(
    body: StartBody,
    request: Request,
    session: SessionDep,
    staff: Dispatcher,
    clock: ClockDep,
    idempotency: IdempotencyDep,
) -> StartRead:
    """Start charging from here. Answers with the order at once; facts tell the rest."""
    now = clock.now()

    async def start() -> StartRead:
        fields = body.model_dump(exclude={"station_no", "token"})
        token = None
        if body.token is not None:
            kind = body.token.kind
            token = Token(kind, normalise(kind, body.token.value))
        order = await service.request_start(
            session,
            staff=staff,
            station_no=body.station_no,
            wish=service.StartWish(token=token, **fields),
            now=now,
        )
        wish = body.model_dump(exclude={"token"}, exclude_defaults=True)
        note_change(request, after={"order_id": order.id} | wish)
        return StartRead(order_id=order.id, state=order.state, command_id=order.start_command_id)

    return await idempotency.once(session, staff, StartRead, start, now=now)


@router.get("/export.csv", operation_id="orders_export", response_class=StreamingResponse)
async def export_orders(
    request: Request, session: SessionDep, staff: Reader, wanted: FilterDep
) -> StreamingResponse:
    """Export the filtered orders as CSV (UTF-8 with byte order mark), however many."""
    sessions: Sessions = request.app.state.sessions
    statement = await queries.filtered(session, staff.operator_id, wanted)
    stations = await lookup.stations_of(session, staff.operator_id)
    by_id = {station.id: station for station in stations}
    return csv_answer(order_lines(sessions, statement, by_id), "orders.csv")


@router.get("/review", operation_id="orders_review_queue")
async def review_queue(
    session: SessionDep,
    staff: Reader,
    cause: str = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> list[QueueEntry]:
    """List what waits for a decision, oldest first, with the three figures."""
    rows = await queries.open_reviews(session, staff.operator_id, cause=cause, limit=limit)
    return [
        QueueEntry(
            order=OrderRead.of(order),
            review=ReviewRead.of(review),
            bill=None if bill is None else BillRead.of(bill, []),
        )
        for review, order, bill in rows
    ]


@router.get("/reconciliation", operation_id="orders_reconcile", response_class=FastJson)
async def reconcile_day(
    session: SessionDep,
    staff: Reader,
    clock: ClockDep,
    day: date | None = None,
    station: str = "",
) -> FastJson:
    """Compare HQ, station and charge points for the stations' local day; today by default."""
    days = await reconcile(
        session,
        day=day,
        now=clock.now(),
        operator_id=staff.operator_id,
        station_no=station,
    )
    return FastJson([msgspec.to_builtins(each) | {"ok": each.ok} for each in days])


@router.get(
    "/{order_id}", operation_id="orders_get", responses=error_responses(service.OrderNotFoundError)
)
async def get_order(order_id: UUID, session: SessionDep, staff: Reader) -> OrderDetail:
    """Return an order with its timeline, its bills and its review."""
    order = await service.order_by_id(session, operator_id=staff.operator_id, order_id=order_id)
    review = await service.review_of(session, order.id)
    return OrderDetail(
        **OrderRead.of(order).model_dump(),
        timeline=[
            TimelineEntry(
                kind=fact.kind,
                role=fact.role,
                occurred_at=fact.occurred_at,
                received_at=fact.received_at,
                event=msgspec.json.decode(fact_as_json(fact)),
            )
            for fact in await facts_of(session, order.id)
        ],
        bills=[
            BillRead.of(bill, list(await billing.lines_of(session, bill.id)))
            for bill in await billing.bills_of(session, order.id)
        ],
        review=None if review is None else ReviewRead.of(review),
    )


@router.post(
    "/{order_id}/stop",
    status_code=202,
    operation_id="orders_stop",
    responses=error_responses(service.OrderNotFoundError, service.OrderOverError, KeyReusedError),
)
async def stop_order(
    order_id: UUID,
    request: Request,
    session: SessionDep,
    staff: Dispatcher,
    clock: ClockDep,
    idempotency: IdempotencyDep,
) -> StopRead:
    """Ask the station to stop. The order ends when the station says that it did."""
    now = clock.now()

    async def stop() -> StopRead:
        was = await service.order_by_id(session, operator_id=staff.operator_id, order_id=order_id)
        before = {"state": was.state}
        order = await service.request_stop(
            session, operator_id=staff.operator_id, order_id=order_id, now=now
        )
        note_change(request, before=before, after={"state": order.state})
        return StopRead(
            order_id=order.id, state=order.state, stop_requested_at=order.stop_requested_at
        )

    return await idempotency.once(session, staff, StopRead, stop, now=now)


@router.post(
    "/{order_id}/review",
    operation_id="orders_decide",
    responses=error_responses(service.OrderNotFoundError, service.NotInReviewError, KeyReusedError),
)
async def decide_order(
    order_id: UUID,
    request: Request,
    body: DecisionBody,
    session: SessionDep,
    staff: Dispatcher,
    clock: ClockDep,
    idempotency: IdempotencyDep,
) -> DecisionRead:
    """Decide what an order in review costs, or an estimate whose record is not to be waited for:
    HQ's figure, the charge point's, or nothing."""
    now = clock.now()

    async def decide() -> DecisionRead:
        was = await service.order_by_id(session, operator_id=staff.operator_id, order_id=order_id)
        before = {"state": was.state, "payable_fen": was.payable_fen}
        order, bill = await service.decide(
            session,
            staff=staff,
            order_id=order_id,
            decision=body.decision,
            reason=body.reason,
            now=now,
        )
        after = {"state": order.state, "payable_fen": order.payable_fen}
        note_change(request, before=before, after=after | body.model_dump())
        lines = list(await billing.lines_of(session, bill.id))
        return DecisionRead(order=OrderRead.of(order), bill=BillRead.of(bill, lines))

    return await idempotency.once(session, staff, DecisionRead, decide, now=now)


@router.get(
    "/{order_id}/explanation",
    operation_id="orders_explain",
    response_class=FastJson,
    responses=error_responses(service.OrderNotFoundError),
)
async def explain(order_id: str, session: SessionDep, staff: Reader) -> FastJson:
    """Return what a bill was made of; `POST …/frames` also asks the station for its frames."""
    explanation = await explain_order(session, order_id, operator_id=staff.operator_id)
    return FastJson(as_data(explanation))


@router.post(
    "/{order_id}/frames",
    operation_id="orders_fetch_frames",
    response_class=FastJson,
    responses=error_responses(service.OrderNotFoundError),
)
async def explain_with_frames(
    request: Request, order_id: str, staff: Dispatcher, clock: ClockDep
) -> FastJson:
    """Return what a bill was made of, with the raw frames: asks the station, for up to 10 s."""
    sessions: Sessions = request.app.state.sessions
    # Not `SessionDep`: no transaction stays open while the station is waited for.
    async with sessions() as session, session.begin():
        explanation = await explain_order(session, order_id, operator_id=staff.operator_id)
        record_call(session, request)
    await fetch_frames(sessions, clock, explanation)
    return FastJson(as_data(explanation))
