"""Which camera, siren and screen belong where at a station, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from fastapi import APIRouter, Form, Request
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from cloud.core.audit import note_change
from cloud.core.db import SessionDep
from cloud.core.deps import Admin, ClockDep, Reader
from cloud.protection import service
from cloud.protection.models import StationProtection
from cloud.protection.pages import STREAM, station_context
from cloud.protection.rules import STATION, Binding, BoundKind, InvalidDocumentError
from cloud.protection.standing import as_written
from cloud.stations import lookup
from cloud.web.pages import Pages
from shared.contracts.protection import OutputKind, Zone

if TYPE_CHECKING:
    from cloud.core.security import Staff
    from cloud.stations.models import Station

router = APIRouter(include_in_schema=False)
_pages = Pages("cloud.protection")

BINDINGS_MAX = 500
_SOUNDS = frozenset({OutputKind.SIREN, OutputKind.STROBE, OutputKind.SPEAKER})


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where something may belong: the station, a zone of it, or a charge point."""

    target: str
    zone: Zone | None = None
    charge_point_no: str = ""


@router.get("/protection/{station_no}/bindings")
async def bindings_page(
    request: Request, station_no: str, staff: Reader, session: SessionDep
) -> Response:
    """Show by place what is bound to it."""
    station = await lookup.station_by_no(session, staff.operator_id, station_no)
    return await _page(request, session, staff, station)


@router.post("/protection/{station_no}/bindings")
async def change_bindings_with_form(
    request: Request,
    station_no: str,
    staff: Admin,
    session: SessionDep,
    clock: ClockDep,
    *,
    expected: Annotated[int, Form(ge=0)],
    kind: Annotated[BoundKind, Form()],
    name: Annotated[str, Form(min_length=1, max_length=64)],
    target: Annotated[str, Form(max_length=64)],
    remove: Annotated[bool, Form()] = False,
) -> Response:
    """Bind something to a place, or take it away from there."""
    station = await lookup.station_by_no(session, staff.operator_id, station_no)
    row = await service.station_row(session, operator_id=staff.operator_id, station_id=station.id)
    before = _bindings(row)
    chosen = Binding(kind, name.strip(), target)
    places, sirens = await _known(session, station)
    targets = {place.target for place in places}
    # What belonged to something that is gone by now goes with the first change.
    after = [
        each
        for each in before
        if each != chosen
        and each.target in targets
        and (each.kind is not BoundKind.SIREN or each.name in sirens)
    ]
    if not remove:
        after.append(chosen)
    refusal: InvalidDocumentError | None = None
    try:
        if len(after) > BINDINGS_MAX:
            raise InvalidDocumentError("bindings", f"at most {BINDINGS_MAX}")
        await service.set_bindings(
            session,
            operator_id=staff.operator_id,
            station_id=station.id,
            bindings=after,
            expected=expected,
            by=staff.name,
            now=clock.now(),
        )
    except InvalidDocumentError as error:
        refusal = error
    else:
        note_change(request, before={"bindings": before}, after={"bindings": after})
    return await _page(request, session, staff, station, chosen=chosen, refusal=refusal)


async def _page(
    request: Request,
    session: AsyncSession,
    staff: Staff,
    station: Station,
    *,
    chosen: Binding | None = None,
    refusal: InvalidDocumentError | None = None,
) -> Response:
    row = await service.station_row(session, operator_id=staff.operator_id, station_id=station.id)
    places, sirens = await _known(session, station)
    return _pages.render(
        request,
        "protection/bindings.html",
        row=row,
        bindings=_bindings(row),
        places=places,
        targets={place.target for place in places},
        kinds=list(BoundKind),
        sirens=sirens,
        chosen=chosen if refusal is not None else None,
        refusal=_where(refusal),
        stream=STREAM,
        **station_context(staff, station),
    )


def _bindings(row: StationProtection) -> list[Binding]:
    return msgspec.convert(row.bindings, list[Binding])


async def _known(session: AsyncSession, station: Station) -> tuple[list[Place], list[str]]:
    """Return the places of a station and the names of what sounds there."""
    newest = await service.newest_version(
        session, operator_id=station.operator_id, station_id=station.id
    )
    protection = as_written(newest)
    points = await lookup.charge_points(session, station.id)
    places = [Place(target=STATION)]
    places += [Place(target=f"zone:{zone.name}", zone=zone) for zone in protection.zones]
    places += [
        Place(target=f"charge_point:{number}", charge_point_no=number)
        for number in (point.charge_point_no for point in points)
    ]
    return places, [each.name for each in protection.outputs if each.kind in _SOUNDS]


def _where(refusal: InvalidDocumentError | None) -> str:
    """Return which field is wrong: `target`, `name` or another; "" for none."""
    field: Any = refusal.context["field"] if refusal is not None else ""
    return str(field).rpartition(".")[2]
