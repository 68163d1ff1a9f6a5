"""Stations and charge points over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlmodel import col, select

from cloud.core.audit import note_change
from cloud.core.conditional import ConditionalRoute
from cloud.core.db import SessionDep
from cloud.core.deps import Admin, ClockDep, Reader
from cloud.core.errors import NotFoundError, error_responses
from cloud.core.json import FastJson
from cloud.core.pagination import Page, PageDep, newest_first
from cloud.stations import lookup, service
from cloud.stations.edge_config import edge_toml
from cloud.stations.models import ChargePoint, Connector, Quarantined, Station
from shared.contracts.commands import ChargePointConfig
from shared.contracts.words import ConnectorStatus

router = APIRouter(prefix="/api/v1", tags=["stations"], route_class=ConditionalRoute)

StationNo = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,32}$")]


class StationCreate(BaseModel):
    """A new station."""

    station_no: str = Field(pattern=r"^[A-Za-z0-9_-]{1,32}$", examples=["S-0001"])
    name_zh: str = Field(min_length=1, max_length=100, examples=["示范站"])
    name_en: str = Field(min_length=1, max_length=100, examples=["Demo station"])
    time_zone: str = Field(default="Asia/Shanghai", examples=["Asia/Shanghai"])


class StationRead(BaseModel):
    """A station."""

    id: UUID
    station_no: str
    name_zh: str
    name_en: str
    time_zone: str
    online: bool
    last_seen_at: datetime | None
    agent_version: str
    registry_version: int
    created_at: datetime


class StationMade(StationRead):
    """A station with its secret, which is not shown again, and its ready `edge.toml`."""

    secret: str
    edge_toml: str


class ConnectorRead(BaseModel):
    """A connector as it last said."""

    connector_no: int
    status: ConnectorStatus
    plugged_in: bool
    faults: int
    transaction_id: UUID | None
    last_change_at: datetime | None


Dialect = Literal["ykc16", "ykc15", "ylc"]
"""What stations know to speak; all of them have numbers of 14 digits."""


class ChargePointCreate(BaseModel):
    """A charge point to be served; one in quarantine is adopted with the same call."""

    charge_point_no: str = Field(
        pattern=r"^[0-9]{14}$",
        description="14 digits, as set in the device",
        examples=["55031412782305"],
    )
    connector_count: int = Field(default=1, ge=1, le=service.CONNECTORS_MAX)
    dialect: Dialect = "ykc16"
    silence_limit_s: float = Field(default=30.0, ge=6, le=3600)
    rated_w: int = Field(default=120_000, ge=1_000, le=10_000_000)
    rounds_to_fen: bool = False
    qr_prefix: str = Field(default="", max_length=200)


class ChargePointChange(BaseModel):
    """What is otherwise; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    connector_count: int | None = Field(default=None, ge=1, le=service.CONNECTORS_MAX)
    dialect: Dialect | None = None
    silence_limit_s: float | None = Field(default=None, ge=6, le=3600)
    rated_w: int | None = Field(default=None, ge=1_000, le=10_000_000)
    rounds_to_fen: bool | None = None
    qr_prefix: str | None = Field(default=None, max_length=200)


class ChargePointRead(BaseModel):
    """A charge point."""

    id: UUID
    charge_point_no: str
    connector_count: int
    dialect: str
    silence_limit_s: float
    rated_w: int
    rounds_to_fen: bool
    qr_prefix: str
    online: bool
    firmware: str
    address: str
    last_change_at: datetime | None
    connectors: list[ConnectorRead] = []


class QuarantineRead(BaseModel):
    """A number that is not known and tried to log in."""

    charge_point_no: str
    address: str
    firmware: str
    first_seen_at: datetime
    last_seen_at: datetime


class SecretMade(BaseModel):
    """A new secret, which is not shown again."""

    secret: str


@router.get("/stations", operation_id="stations_list")
async def list_stations(staff: Reader, session: SessionDep, page: PageDep) -> Page[StationRead]:
    """List stations, newest first."""
    rows, cursor = await newest_first(
        session,
        select(Station).where(Station.operator_id == staff.operator_id),
        page,
        id_column=col(Station.id),
    )
    return Page(items=[_read_station(row) for row in rows], next_cursor=cursor)


@router.post(
    "/stations",
    operation_id="stations_create",
    status_code=201,
    responses=error_responses(service.StationExistsError, service.InvalidStationError),
)
async def create_station(
    body: StationCreate, request: Request, staff: Admin, session: SessionDep, clock: ClockDep
) -> StationMade:
    """Make a station: number, secret (shown once) and the text of its `edge.toml`."""
    station, secret = await service.create_station(
        session, operator_id=staff.operator_id, now=clock.now(), **body.model_dump()
    )
    text = edge_toml(station, broker=request.app.state.public_broker)
    return StationMade.model_validate(
        {**_read_station(station).model_dump(), "secret": secret, "edge_toml": text}
    )


@router.get(
    "/stations/{station_no}",
    operation_id="stations_read",
    responses=error_responses(NotFoundError),
)
async def read_station(station_no: StationNo, staff: Reader, session: SessionDep) -> StationRead:
    """Show a station."""
    return _read_station(await lookup.station_by_no(session, staff.operator_id, station_no))


@router.post(
    "/stations/{station_no}/secret",
    operation_id="stations_renew_secret",
    responses=error_responses(NotFoundError),
)
async def renew_secret(station_no: StationNo, staff: Admin, session: SessionDep) -> SecretMade:
    """Give a station a new secret; the old one is worthless at once."""
    station = await lookup.station_by_no(session, staff.operator_id, station_no)
    return SecretMade(secret=await service.renew_secret(session, station))


@router.get(
    "/stations/{station_no}/charge-points",
    operation_id="charge_points_list",
    responses=error_responses(NotFoundError),
    response_model=list[ChargePointRead],
)
async def list_charge_points(station_no: StationNo, staff: Reader, session: SessionDep) -> Response:
    """List the charge points of a station with their connectors."""
    station = await lookup.station_by_no(session, staff.operator_id, station_no)
    connectors: dict[UUID, list[dict[str, object]]] = {}
    for connector in await lookup.connectors(session, station.id):
        connectors.setdefault(connector.charge_point_id, []).append(_plain(connector))
    return FastJson(
        [
            {**_plain(point), "connectors": connectors.get(point.id, [])}
            for point in await lookup.charge_points(session, station.id)
        ]
    )


@router.post(
    "/stations/{station_no}/charge-points",
    operation_id="charge_points_create",
    status_code=201,
    responses=error_responses(NotFoundError, service.ChargePointExistsError),
)
async def add_charge_point(
    station_no: StationNo,
    body: ChargePointCreate,
    staff: Admin,
    session: SessionDep,
    clock: ClockDep,
) -> ChargePointRead:
    """Register a charge point, or adopt it from quarantine, and tell the station."""
    station = await lookup.station_by_no(session, staff.operator_id, station_no)
    point = await service.add_charge_point(
        session, station=station, config=ChargePointConfig(**body.model_dump()), now=clock.now()
    )
    return ChargePointRead.model_validate(point.model_dump())


@router.patch(
    "/stations/{station_no}/charge-points/{charge_point_no}",
    operation_id="charge_points_change",
    responses=error_responses(lookup.ChargePointNotFoundError),
)
async def change_charge_point(
    station_no: StationNo,
    charge_point_no: str,
    body: ChargePointChange,
    request: Request,
    staff: Admin,
    session: SessionDep,
    clock: ClockDep,
) -> ChargePointRead:
    """Describe a charge point otherwise: dialect, power, silence limit … It logs in again."""
    station = await lookup.station_by_no(session, staff.operator_id, station_no)
    point = await lookup.charge_point(session, station.id, charge_point_no)
    changes = body.model_dump(exclude_none=True)
    note_change(request, before={name: getattr(point, name) for name in changes}, after=changes)
    await service.change_charge_point(
        session, station=station, point=point, changes=changes, now=clock.now()
    )
    return ChargePointRead.model_validate(point.model_dump())


@router.delete(
    "/stations/{station_no}/charge-points/{charge_point_no}",
    operation_id="charge_points_retire",
    status_code=204,
    responses=error_responses(lookup.ChargePointNotFoundError, service.ChargePointBusyError),
)
async def retire_charge_point(
    station_no: StationNo,
    charge_point_no: str,
    staff: Admin,
    session: SessionDep,
    clock: ClockDep,
) -> None:
    """Serve a charge point no more; its orders stay. Adding it again has it served again."""
    station = await lookup.station_by_no(session, staff.operator_id, station_no)
    point = await lookup.charge_point(session, station.id, charge_point_no)
    await service.retire_charge_point(session, station=station, point=point, now=clock.now())


@router.get(
    "/stations/{station_no}/quarantine",
    operation_id="quarantine_list",
    responses=error_responses(NotFoundError),
)
async def list_quarantine(
    station_no: StationNo, staff: Reader, session: SessionDep
) -> list[QuarantineRead]:
    """List numbers that tried to log in and are not known."""
    station = await lookup.station_by_no(session, staff.operator_id, station_no)
    rows = await session.scalars(
        select(Quarantined)
        .where(Quarantined.station_id == station.id)
        .order_by(col(Quarantined.last_seen_at).desc())
        .limit(500)
    )
    return [QuarantineRead.model_validate(row.model_dump()) for row in rows]


def _read_station(station: Station) -> StationRead:
    return StationRead.model_validate(station.model_dump(exclude={"secret_hash"}))


def _plain(row: ChargePoint | Connector) -> dict[str, object]:
    return row.model_dump(exclude={"operator_id", "station_id", "charge_point_id", "created_at"})
