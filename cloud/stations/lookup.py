"""Finding stations and what belongs to them; always within an operator."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from cloud.core.errors import NotFoundError
from cloud.stations.models import ChargePoint, Connector, Operator, Station

_SERVED = col(ChargePoint.retired_at).is_(None)
_SERVED_CONNECTORS = select(Connector).join(ChargePoint).where(_SERVED)


class StationNotFoundError(NotFoundError):
    """No station of this operator has this number."""

    code = "station_not_found"


class ChargePointNotFoundError(NotFoundError):
    """No charge point of this station has this number."""

    code = "charge_point_not_found"


async def station_by_no(session: AsyncSession, operator_id: UUID, station_no: str) -> Station:
    """Return a station. Raises StationNotFoundError."""
    found = await session.scalar(
        select(Station).where(Station.operator_id == operator_id, Station.station_no == station_no)
    )
    if found is None:
        raise StationNotFoundError(f"no station {station_no}", station_no=station_no)
    return found


async def station_by_id(session: AsyncSession, operator_id: UUID, station_id: UUID) -> Station:
    """Return a station. Raises StationNotFoundError."""
    found = await session.get(Station, station_id)
    if found is None or found.operator_id != operator_id:
        raise StationNotFoundError(f"no station {station_id}")
    return found


async def station_of_any(session: AsyncSession, station_no: str) -> Station | None:
    """Return the station of a number, whoever runs it: for ingest, before anybody is known."""
    return await session.scalar(select(Station).where(Station.station_no == station_no))


async def operator_ids(session: AsyncSession) -> Sequence[UUID]:
    """Return all operators: for what concerns each of them, as an alarm of HQ itself does."""
    return (await session.scalars(select(Operator.id).order_by(col(Operator.id)))).all()


async def all_stations(session: AsyncSession) -> Sequence[Station]:
    """Return the stations of all operators: for the sweep of presence."""
    return (await session.scalars(select(Station))).all()


async def stations_of(session: AsyncSession, operator_id: UUID) -> Sequence[Station]:
    """Return all stations of an operator, by number."""
    return (
        await session.scalars(
            select(Station)
            .where(Station.operator_id == operator_id)
            .order_by(col(Station.station_no))
        )
    ).all()


async def every_station(session: AsyncSession) -> Sequence[Station]:
    """Return the stations of all operators, by number: for HQ's own command line only."""
    return (await session.scalars(select(Station).order_by(col(Station.station_no)))).all()


async def charge_point(
    session: AsyncSession, station_id: UUID, charge_point_no: str
) -> ChargePoint:
    """Return a charge point of a station. Raises ChargePointNotFoundError."""
    found = await session.scalar(
        select(ChargePoint).where(
            ChargePoint.station_id == station_id,
            ChargePoint.charge_point_no == charge_point_no,
            _SERVED,
        )
    )
    if found is None:
        raise ChargePointNotFoundError(
            f"no charge point {charge_point_no}", charge_point_no=charge_point_no
        )
    return found


async def charge_points(session: AsyncSession, station_id: UUID) -> Sequence[ChargePoint]:
    """Return the charge points of a station, by number."""
    return (
        await session.scalars(
            select(ChargePoint)
            .where(ChargePoint.station_id == station_id, _SERVED)
            .order_by(col(ChargePoint.charge_point_no))
        )
    ).all()


async def connectors(session: AsyncSession, station_id: UUID) -> Sequence[Connector]:
    """Return the connectors of a station, by charge point and number."""
    return (
        await session.scalars(
            _SERVED_CONNECTORS.where(Connector.station_id == station_id).order_by(
                col(Connector.charge_point_no), col(Connector.connector_no)
            )
        )
    ).all()


async def connectors_of(session: AsyncSession, operator_id: UUID) -> Sequence[Connector]:
    """Return the connectors of all stations of an operator, by charge point and number."""
    return (
        await session.scalars(
            _SERVED_CONNECTORS.where(Connector.operator_id == operator_id).order_by(
                col(Connector.charge_point_no), col(Connector.connector_no)
            )
        )
    ).all()


async def connector(
    session: AsyncSession, station_id: UUID, charge_point_no: str, connector_no: int
) -> Connector:
    """Return one connector. Raises ChargePointNotFoundError."""
    found = await session.scalar(
        _SERVED_CONNECTORS.where(
            Connector.station_id == station_id,
            Connector.charge_point_no == charge_point_no,
            Connector.connector_no == connector_no,
        )
    )
    if found is None:
        raise ChargePointNotFoundError(
            f"no connector {charge_point_no}:{connector_no}", charge_point_no=charge_point_no
        )
    return found
