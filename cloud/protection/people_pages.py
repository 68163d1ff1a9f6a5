"""People at a station, for HQ: what they are asked to do, and who may act at the screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Form, Query, Request
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select
from starlette.responses import RedirectResponse, Response

from cloud.core.audit import note_change
from cloud.core.commands import find_command
from cloud.core.db import SessionDep
from cloud.core.deps import Admin, ClockDep, Dispatcher, Reader
from cloud.core.pagination import PageRequest, newest_first
from cloud.protection import people, service
from cloud.protection.models import Instruction, PinHolder
from cloud.protection.pages import STREAM, station_context
from cloud.stations import lookup
from cloud.web.pages import Pages

if TYPE_CHECKING:
    from cloud.core.security import Staff
    from cloud.stations.models import Station
    from shared.clock import Clock

router = APIRouter(include_in_schema=False)
_pages = Pages("cloud.protection")

_A_PAGE = 50
PINS_MAX = 50
Text = Annotated[str, Form(min_length=1, max_length=400)]
Name = Annotated[str, Form(min_length=1, max_length=64)]


@router.get("/protection/{station_no}/instructions")
async def instructions_page(
    request: Request,
    station_no: str,
    staff: Reader,
    session: SessionDep,
    clock: ClockDep,
    cursor: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Show what people on site were asked to do, whether it arrived and who read it."""
    station = await lookup.station_by_no(session, staff.operator_id, station_no)
    rows, next_cursor = await newest_first(
        session,
        select(Instruction).where(Instruction.station_id == station.id),
        PageRequest(limit=_A_PAGE, cursor=cursor),
        id_column=col(Instruction.id),
    )
    return _pages.render(
        request,
        "protection/instructions.html",
        instructions=rows,
        commands=await people.commands_of(session, rows),
        cursor=cursor,
        next_cursor=next_cursor,
        now=clock.now(),
        stream=STREAM,
        **station_context(staff, station),
    )


@router.post("/protection/{station_no}/instructions")
async def instruct_with_form(
    station_no: str,
    staff: Dispatcher,
    session: SessionDep,
    clock: ClockDep,
    *,
    text_zh: Text,
    text_en: Text,
) -> Response:
    """Show people at the station what to do, and go back."""
    station = await lookup.station_by_no(session, staff.operator_id, station_no)
    await people.instruct(
        session,
        operator_id=staff.operator_id,
        station_id=station.id,
        text_zh=text_zh.strip() or text_en,
        text_en=text_en.strip() or text_zh,
        by=staff.name,
        now=clock.now(),
    )
    target = f"/protection/{station.station_no}/instructions"
    return RedirectResponse(target, HTTPStatus.SEE_OTHER)


class PinAct(StrEnum):
    """What somebody wants with a PIN."""

    GIVE = "give"
    RENEW = "renew"
    WITHDRAW = "withdraw"


@router.get("/protection/{station_no}/pins")
async def pins_page(
    request: Request, station_no: str, staff: Admin, session: SessionDep, clock: ClockDep
) -> Response:
    """Show who may act at a station's screen; never a PIN."""
    station = await lookup.station_by_no(session, staff.operator_id, station_no)
    return await _pins(request, session, staff, station, clock)


@router.post("/protection/{station_no}/pins")
async def change_pins_with_form(
    request: Request,
    station_no: str,
    staff: Admin,
    session: SessionDep,
    clock: ClockDep,
    *,
    act: Annotated[PinAct, Form()],
    name: Name,
    role: Annotated[Literal["staff", "chief"], Form()] = "staff",
) -> Response:
    """Give somebody a PIN, another one, or none; a new one is on this page and nowhere else."""
    station = await lookup.station_by_no(session, staff.operator_id, station_no)
    # Locked first: two who change PINs at once do not undo each other's change.
    await service.station_row(
        session, operator_id=staff.operator_id, station_id=station.id, for_update=True
    )
    holders = await people.pins_of(session, station.id)
    refusal = _refusal(act, name.strip(), holders)
    made: Mapping[str, str] = {}
    if not refusal:
        made = await people.set_pins(
            session,
            operator_id=staff.operator_id,
            station_id=station.id,
            wanted=_wanted(act, name.strip(), role, holders),
            by=staff.name,
            now=clock.now(),
        )
        note_change(request, before={"names": [each.name for each in holders]}, after={act: name})
    return await _pins(
        request, session, staff, station, clock, made=made, refusal=refusal, given=name, role=role
    )


def _refusal(act: PinAct, name: str, holders: Sequence[PinHolder]) -> str:
    """Return the key of what is wrong, "" for nothing."""
    there = any(each.name == name for each in holders)
    if act is not PinAct.GIVE:
        return "" if there else "pins.gone"
    if not name:
        return "pins.no_name"
    if there:
        return "pins.taken"
    return "pins.too_many" if len(holders) >= PINS_MAX else ""


def _wanted(act: PinAct, name: str, role: str, holders: Sequence[PinHolder]) -> list[people.Wanted]:
    kept = [
        people.Wanted(each.name, each.role, renew=act is PinAct.RENEW and each.name == name)
        for each in holders
        if act is not PinAct.WITHDRAW or each.name != name
    ]
    return [*kept, people.Wanted(name, role)] if act is PinAct.GIVE else kept


async def _pins(
    request: Request,
    session: AsyncSession,
    staff: Staff,
    station: Station,
    clock: Clock,
    **shown: Any,
) -> Response:
    row = await service.station_row(session, operator_id=staff.operator_id, station_id=station.id)
    command = await find_command(session, row.pins_command_id) if row.pins_command_id else None
    defaults: dict[str, Any] = {"made": {}, "refusal": "", "given": "", "role": "staff"}
    return _pages.render(
        request,
        "protection/pins.html",
        holders=await people.pins_of(session, station.id),
        command=command,
        now=clock.now(),
        stream=STREAM,
        **(defaults | shown),
        **station_context(staff, station),
    )
