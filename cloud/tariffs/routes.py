"""Tariffs over HTTP: list, get, compare, publish; who holds what."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import Field

from cloud.core.audit import note_change
from cloud.core.conditional import ConditionalRoute
from cloud.core.db import SessionDep
from cloud.core.deps import Admin, ClockDep, Reader
from cloud.core.errors import error_responses
from cloud.core.idempotency import IdempotencyDep
from cloud.stations import lookup
from cloud.tariffs import service
from cloud.tariffs.models import Version
from cloud.tariffs.rules import differences
from cloud.tariffs.schemas import Difference, HoldingRead, VersionCreate, VersionRead

router = APIRouter(
    prefix="/api/v1/stations/{station_no}/tariffs", tags=["tariffs"], route_class=ConditionalRoute
)
VersionNo = Annotated[int, Field(ge=1, le=2**31 - 1)]


@router.get("", operation_id="tariffs_list", responses=error_responses(lookup.StationNotFoundError))
async def list_versions(station_no: str, session: SessionDep, staff: Reader) -> list[VersionRead]:
    """List a station's tariff versions, newest first."""
    station = await lookup.station_by_no(session, staff.operator_id, station_no)
    versions = await service.versions_of(
        session, operator_id=staff.operator_id, station_id=station.id
    )
    return [VersionRead.of(version) for version in versions]


@router.post(
    "",
    status_code=201,
    operation_id="tariffs_create",
    responses=error_responses(service.InvalidTariffError, lookup.StationNotFoundError),
)
async def create_version(
    station_no: str,
    body: VersionCreate,
    request: Request,
    session: SessionDep,
    staff: Admin,
    clock: ClockDep,
    idempotency: IdempotencyDep,
) -> VersionRead:
    """Publish a new version: it is sent to the station and to its idle charge points."""
    station = await lookup.station_by_no(session, staff.operator_id, station_no)
    now = clock.now()

    async def create() -> VersionRead:
        known = await service.versions_of(
            session, operator_id=staff.operator_id, station_id=station.id
        )
        version = await service.create_version(
            session,
            operator_id=staff.operator_id,
            station_id=station.id,
            tariff=body.tariff.to_tariff(),
            valid_from=body.valid_from or now,
            now=now,
            created_by=staff.name,
            note=body.note,
        )
        _note_version(request, known[0] if known else None, version)
        return VersionRead.of(version)

    return await idempotency.once(session, staff, VersionRead, create, now=now)


def _note_version(request: Request, before: Version | None, after: Version) -> None:
    changed = differences(service.tariff_of(before), service.tariff_of(after)) if before else []
    note_change(
        request,
        before={"version": before.version if before else 0} | {f: old for f, old, _ in changed},
        after={"version": after.version, "valid_from": after.valid_from.isoformat()}
        | {f: new for f, _, new in changed},
    )


@router.get(
    "/holdings",
    operation_id="tariffs_holdings",
    responses=error_responses(lookup.StationNotFoundError),
)
async def list_holdings(station_no: str, session: SessionDep, staff: Reader) -> list[HoldingRead]:
    """List which charge point has confirmed which version."""
    station = await lookup.station_by_no(session, staff.operator_id, station_no)
    holdings = await service.holdings_of(
        session, operator_id=staff.operator_id, station_id=station.id
    )
    return [HoldingRead(**holding.model_dump()) for holding in holdings]


@router.get(
    "/compare",
    operation_id="tariffs_compare",
    responses=error_responses(service.TariffNotFoundError),
)
async def compare_versions(
    station_no: str, before: VersionNo, after: VersionNo, session: SessionDep, staff: Reader
) -> list[Difference]:
    """List what differs between two versions."""
    station = await lookup.station_by_no(session, staff.operator_id, station_no)
    old, new = [
        service.tariff_of(
            await service.version_by_number(
                session, operator_id=staff.operator_id, station_id=station.id, version=number
            )
        )
        for number in (before, after)
    ]
    return [Difference(field=f, before=b, after=a) for f, b, a in differences(old, new)]


@router.get(
    "/{version}",
    operation_id="tariffs_get",
    responses=error_responses(service.TariffNotFoundError),
)
async def get_version(
    station_no: str, version: VersionNo, session: SessionDep, staff: Reader
) -> VersionRead:
    """Return one version."""
    station = await lookup.station_by_no(session, staff.operator_id, station_no)
    found = await service.version_by_number(
        session, operator_id=staff.operator_id, station_id=station.id, version=version
    )
    return VersionRead.of(found)
