"""What staff has stations and charge points do, over HTTP.

Every call answers 202 with a command; `GET /commands/{id}` says what became of it.
"""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request
from sqlmodel import col, select

from cloud.core.audit import note_change
from cloud.core.commands import CommandRow, find_command
from cloud.core.db import SessionDep
from cloud.core.deps import Admin, ClockDep, Dispatcher, Reader
from cloud.core.errors import NotFoundError, error_responses
from cloud.core.idempotency import IdempotencyDep, KeyReusedError
from cloud.core.pagination import Page, PageDep, newest_first
from cloud.orders.service import OrderNotFoundError, OrderOverError, TokenRefusedError
from cloud.remote import service
from cloud.remote.schemas import CommandRead, DeviceBody, FirmwareBody, LimitBody, PlaceBody
from cloud.stations import lookup

router = APIRouter(prefix="/api/v1", tags=["remote control"])

StationNo = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,32}$")]
ChargePointNo = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,32}$")]
_PLACES = error_responses(lookup.StationNotFoundError)


@router.post(
    "/stations/{station_no}/charge-points/{charge_point_no}/commands",
    operation_id="remote_command",
    status_code=202,
    responses=error_responses(lookup.ChargePointNotFoundError, KeyReusedError),
)
async def command_charge_point(
    station_no: StationNo,
    charge_point_no: ChargePointNo,
    body: DeviceBody,
    request: Request,
    session: SessionDep,
    staff: Dispatcher,
    clock: ClockDep,
    idempotency: IdempotencyDep,
) -> CommandRead:
    """Have a charge point do something: restart, go out of service, set its QR code, cards …"""
    now = clock.now()
    note_change(request, after=body.model_dump(exclude_defaults=True))

    async def ask() -> CommandRead:
        row = await service.command_charge_point(
            session,
            operator_id=staff.operator_id,
            station_no=station_no,
            charge_point_no=charge_point_no,
            command=body.command(charge_point_no),
            now=now,
        )
        return CommandRead.of(row)

    return await idempotency.once(session, staff, CommandRead, ask, now=now)


@router.post(
    "/stations/{station_no}/charge-points/{charge_point_no}/firmware",
    operation_id="remote_firmware",
    status_code=202,
    responses=error_responses(lookup.ChargePointNotFoundError, KeyReusedError),
)
async def update_firmware(
    station_no: StationNo,
    charge_point_no: ChargePointNo,
    body: FirmwareBody,
    request: Request,
    session: SessionDep,
    staff: Admin,
    clock: ClockDep,
    idempotency: IdempotencyDep,
) -> CommandRead:
    """Have a charge point fetch another program; done when it logs in with another version."""
    now = clock.now()
    note_change(request, after=body.model_dump(exclude={"password"}))

    async def ask() -> CommandRead:
        row = await service.command_charge_point(
            session,
            operator_id=staff.operator_id,
            station_no=station_no,
            charge_point_no=charge_point_no,
            command=body.command(charge_point_no),
            now=now,
        )
        return CommandRead.of(row)

    return await idempotency.once(session, staff, CommandRead, ask, now=now)


@router.post(
    "/stations/{station_no}/emergency-stop",
    operation_id="remote_emergency_stop",
    status_code=202,
    responses=_PLACES,
)
async def emergency_stop(
    station_no: StationNo,
    body: PlaceBody,
    request: Request,
    session: SessionDep,
    staff: Dispatcher,
    clock: ClockDep,
) -> CommandRead:
    """Stop all that charges there, and have nothing start until it is lifted. Never expires."""
    return await _stop(station_no, body, request, session, staff, clock, lift=False)


@router.post(
    "/stations/{station_no}/emergency-stop/lift",
    operation_id="remote_emergency_stop_lift",
    status_code=202,
    responses=_PLACES,
)
async def lift_emergency_stop(
    station_no: StationNo,
    body: PlaceBody,
    request: Request,
    session: SessionDep,
    staff: Dispatcher,
    clock: ClockDep,
) -> CommandRead:
    """Lift HQ's own emergency stop. What the station itself blocked is reset on site only."""
    return await _stop(station_no, body, request, session, staff, clock, lift=True)


async def _stop(
    station_no: str,
    body: PlaceBody,
    request: Request,
    session: SessionDep,
    staff: Dispatcher,
    clock: ClockDep,
    *,
    lift: bool,
) -> CommandRead:
    note_change(request, after=body.model_dump())
    row = await service.emergency_stop(
        session,
        operator_id=staff.operator_id,
        station_no=station_no,
        lift=lift,
        now=clock.now(),
        **body.model_dump(),
    )
    return CommandRead.of(row)


@router.post(
    "/orders/{order_id}/limit",
    operation_id="remote_limit",
    status_code=202,
    responses=error_responses(
        OrderNotFoundError, OrderOverError, TokenRefusedError, KeyReusedError
    ),
)
async def change_limit(
    order_id: UUID,
    body: LimitBody,
    request: Request,
    session: SessionDep,
    staff: Dispatcher,
    clock: ClockDep,
    idempotency: IdempotencyDep,
) -> CommandRead:
    """Change what a running charge may cost; station and charge point stop at it."""
    now = clock.now()
    note_change(request, after=body.model_dump())

    async def change() -> CommandRead:
        row = await service.change_limit(
            session,
            operator_id=staff.operator_id,
            order_id=order_id,
            limit_fen=body.limit_fen,
            now=now,
        )
        return CommandRead.of(row)

    return await idempotency.once(session, staff, CommandRead, change, now=now)


@router.get(
    "/stations/{station_no}/commands",
    operation_id="remote_list",
    responses=_PLACES,
)
async def list_commands(
    station_no: StationNo, staff: Reader, session: SessionDep, page: PageDep, kind: str = ""
) -> Page[CommandRead]:
    """List what a station was told, newest first, and how each ended."""
    station = await lookup.station_by_no(session, staff.operator_id, station_no)
    statement = select(CommandRow).where(CommandRow.station_id == station.id)
    if kind:
        statement = statement.where(CommandRow.kind == kind)
    rows, cursor = await newest_first(session, statement, page, id_column=col(CommandRow.id))
    return Page(items=[CommandRead.of(row) for row in rows], next_cursor=cursor)


@router.get(
    "/commands/{command_id}", operation_id="commands_read", responses=error_responses(NotFoundError)
)
async def read_command(command_id: UUID, staff: Reader, session: SessionDep) -> CommandRead:
    """Show how a command stands; without an outcome it is on its way."""
    row = await find_command(session, command_id)
    if row is None or row.operator_id != staff.operator_id:
        raise NotFoundError("no such command")
    return CommandRead.of(row)
