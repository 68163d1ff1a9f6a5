"""How a station protects itself, for people: what holds there, and going back to what held."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Form, Request
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import RedirectResponse, Response

from cloud.core.audit import note_change
from cloud.core.commands import find_command
from cloud.core.db import SessionDep
from cloud.core.deps import Admin, ClockDep, Reader
from cloud.core.security import MATRIX, Permission
from cloud.protection import service
from cloud.protection.models import Version
from cloud.protection.reasons import reason_of
from cloud.protection.routes import VersionNo
from cloud.protection.rules import InvalidDocumentError, differences
from cloud.protection.standing import Protected, as_written, name_path
from cloud.stations import lookup
from cloud.web.pages import Pages
from cloud.web.texts import texts_for
from shared.protection.tables import interlock_rows, rule_rows
from shared.protection.words import Language

if TYPE_CHECKING:
    from cloud.core.security import Staff
    from cloud.stations.models import Station

router = APIRouter(include_in_schema=False)
_pages = Pages("cloud.protection")

STREAM = "/api/v1/alarms/stream"
"""Pages here have no events of their own; they are taken again at each step of an alarm."""


@router.get("/protection/{station_no}")
async def protection_page(
    request: Request, station_no: str, staff: Reader, session: SessionDep, clock: ClockDep
) -> Response:
    """Show what is to hold at a station and what does, in words, and all versions."""
    station = await lookup.station_by_no(session, staff.operator_id, station_no)
    versions = await service.versions_of(
        session, operator_id=staff.operator_id, station_id=station.id
    )
    newest = versions[0] if versions else None
    row = await service.station_row(session, operator_id=staff.operator_id, station_id=station.id)
    command = None
    if newest is not None and newest.command_id is not None:
        command = await find_command(session, newest.command_id)
    return _pages.render(
        request,
        "protection/station.html",
        protected=Protected(newest=newest, row=row),
        refusal=name_path(newest.document, newest.refusal) if newest is not None else "",
        command=command,
        versions=versions,
        now=clock.now(),
        stream=STREAM,
        **_document(request, newest),
        **station_context(staff, station),
    )


@router.get("/protection/{station_no}/versions/{version}")
async def version_page(
    request: Request,
    station_no: str,
    version: VersionNo,
    staff: Reader,
    session: SessionDep,
) -> Response:
    """Show one version, what differs from the newest, and publish it again if that is wanted."""
    station = await lookup.station_by_no(session, staff.operator_id, station_no)
    chosen, newest = await _version_and_newest(session, staff.operator_id, station.id, version)
    return _version(request, staff, station, chosen, newest)


@router.get("/protection/{station_no}/versions/{version}/document.json")
async def download_document(
    station_no: str, version: VersionNo, staff: Reader, session: SessionDep
) -> Response:
    """Return a version's document as a file."""
    station = await lookup.station_by_no(session, staff.operator_id, station_no)
    chosen = await service.version_by_number(
        session, operator_id=staff.operator_id, station_id=station.id, version=version
    )
    name = f"protection-{station.station_no}-{version}.json"
    return Response(
        orjson.dumps(chosen.document, option=orjson.OPT_INDENT_2),
        media_type="application/json",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


@router.post("/protection/{station_no}/versions/{version}/publish")
async def roll_back_with_form(
    request: Request,
    station_no: str,
    version: VersionNo,
    staff: Admin,
    session: SessionDep,
    clock: ClockDep,
    *,
    expected: Annotated[int, Form(ge=1)],
    note: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    """Publish an old version again, as a new one; refused if somebody published in between.

    What was right when it was written may be wrong by today's checks: then the page says where.
    """
    station = await lookup.station_by_no(session, staff.operator_id, station_no)
    old, newest = await _version_and_newest(session, staff.operator_id, station.id, version)
    try:
        made = await service.publish(
            session,
            operator_id=staff.operator_id,
            station_id=station.id,
            document=old.document,
            expected=expected,
            by=staff.name,
            now=clock.now(),
            note=note,
            rolled_back_to=version,
        )
    except InvalidDocumentError as error:
        wrong = f"{error.path}: {reason_of(error.why).words(texts_for(request))}"
        return _version(request, staff, station, old, newest, wrong=wrong)
    note_change(
        request,
        before={"version": expected},
        after={"version": made.version, "sha256": made.sha256, "rolled_back_to": version},
    )
    return RedirectResponse(f"/protection/{station.station_no}", HTTPStatus.SEE_OTHER)


def station_context(staff: Staff, station: Station) -> dict[str, Any]:
    """Return what the head of every page about a station needs."""
    return {
        "station": station,
        "zone": station.time_zone,
        "may_operate": staff.role in MATRIX[Permission.OPERATE],
        "may_administer": staff.role in MATRIX[Permission.ADMINISTER],
    }


def _version(
    request: Request,
    staff: Staff,
    station: Station,
    chosen: Version,
    newest: Version,
    *,
    wrong: str = "",
) -> Response:
    return _pages.render(
        request,
        "protection/version.html",
        version=chosen,
        newest=newest,
        changes=list(differences(newest.document, chosen.document)),
        wrong=name_path(chosen.document, wrong),
        **_document(request, chosen),
        **station_context(staff, station),
    )


def _document(request: Request, version: Version | None) -> dict[str, Any]:
    protection = as_written(version)
    language: Language = "zh" if texts_for(request).chinese else "en"
    return {
        "protection": protection,
        "zones": {each.name: each for each in protection.zones},
        "devices": {each.name: each for each in protection.devices},
        "rules": rule_rows(protection, language),
        "interlocks": interlock_rows(protection, language),
    }


async def _version_and_newest(
    session: AsyncSession, operator_id: UUID, station_id: UUID, version: int
) -> tuple[Version, Version]:
    chosen = await service.version_by_number(
        session, operator_id=operator_id, station_id=station_id, version=version
    )
    newest = await service.newest_version(session, operator_id=operator_id, station_id=station_id)
    return chosen, newest or chosen
