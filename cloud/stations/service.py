"""What can be done with stations. Functions take an open transaction and do not commit."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, delete, select, update

from cloud.core.commands import enqueue_command
from cloud.core.errors import BusinessError
from cloud.core.security import hash_secret, new_secret
from cloud.stations import lookup
from cloud.stations.models import ChargePoint, Connector, Operator, Quarantined, Station
from shared.clock import to_ms
from shared.contracts.commands import ChargePointConfig, PublishRegistry
from shared.contracts.topics import STATION_NO
from shared.contracts.words import ConnectorStatus
from shared.errors import MalformedContractError
from shared.ids import uuid7

CONNECTORS_MAX = 99


class StationExistsError(BusinessError):
    """The number is taken."""

    code = "station_exists"


class ChargePointExistsError(BusinessError):
    """The station has this charge point already."""

    code = "charge_point_exists"


class ChargePointBusyError(BusinessError):
    """A car charges there."""

    code = "charge_point_busy"


class InvalidStationError(BusinessError):
    """A number or time zone that cannot be."""

    status = 400
    code = "invalid_station"


async def ensure_operator(session: AsyncSession, *, name: str, now: datetime) -> Operator:
    """Return the operator of this name, made if there is none."""
    found = await session.scalar(select(Operator).where(Operator.name == name))
    if found is None:
        found = Operator(id=uuid7(to_ms(now)), name=name, created_at=now)
        session.add(found)
        await session.flush()
    return found


async def create_station(
    session: AsyncSession,
    *,
    operator_id: UUID,
    station_no: str,
    name_zh: str,
    name_en: str,
    time_zone: str,
    now: datetime,
    secret: str | None = None,
) -> tuple[Station, str]:
    """Make a station. Returns it and its secret, which is stored hashed and never shown again.

    Raises:
        InvalidStationError: Not a topic level, or no such time zone.
        StationExistsError: The number is taken.
    """
    if not STATION_NO.match(station_no):
        raise InvalidStationError(
            "a station number is 1 to 32 letters, digits, - or _", field="station_no"
        )
    if time_zone not in available_timezones():
        raise InvalidStationError(
            "no such time zone; use a name such as Asia/Shanghai", field="time_zone"
        )
    taken = await session.scalar(select(Station.id).where(Station.station_no == station_no))
    if taken is not None:
        raise StationExistsError(f"station {station_no} exists", station_no=station_no)
    secret = secret or new_secret()
    station = Station(
        id=uuid7(to_ms(now)),
        operator_id=operator_id,
        station_no=station_no,
        name_zh=name_zh,
        name_en=name_en,
        time_zone=time_zone,
        secret_hash=hash_secret(secret),
        created_at=now,
    )
    session.add(station)
    await session.flush()
    return station, secret


async def renew_secret(session: AsyncSession, station: Station) -> str:
    """Give a station a new secret; the old one is worthless at once."""
    secret = new_secret()
    station.secret_hash = hash_secret(secret)
    session.add(station)
    await session.flush()
    return secret


async def add_charge_point(
    session: AsyncSession,
    *,
    station: Station,
    config: ChargePointConfig,
    now: datetime,
) -> ChargePoint:
    """Register a charge point, whether it waits in quarantine or never called; tell the station.

    A retired one is served again, as it is described now.

    Raises:
        ChargePointExistsError: It is registered.
    """
    point = await register_charge_point(session, station=station, config=config, now=now)
    if point is None:
        raise ChargePointExistsError(
            f"charge point {config.charge_point_no} exists", charge_point_no=config.charge_point_no
        )
    await publish_registry(session, station=station, now=now)
    return point


async def change_charge_point(
    session: AsyncSession,
    *,
    station: Station,
    point: ChargePoint,
    changes: Mapping[str, object],
    now: datetime,
) -> None:
    """Describe a charge point otherwise and tell the station, which has it log in again.

    `changes` are fields of `ChargePointConfig`. Connectors are added, never removed.
    """
    for name, value in changes.items():
        setattr(point, name, value)
    session.add(point)
    await session.flush()
    await ensure_connectors(session, point=point, count=point.connector_count, now=now)
    await publish_registry(session, station=station, now=now)


async def retire_charge_point(
    session: AsyncSession, *, station: Station, point: ChargePoint, now: datetime
) -> None:
    """Have a station serve a charge point no more: it was scrapped, or stands elsewhere.

    Raises:
        ChargePointBusyError: A car charges there.
    """
    busy = await session.scalar(
        select(Connector.id)
        .where(Connector.charge_point_id == point.id, col(Connector.transaction_id).is_not(None))
        .limit(1)
    )
    if busy is not None:
        raise ChargePointBusyError("a car charges there; stop it first")
    point.retired_at, point.online = now, False
    session.add(point)
    await session.flush()
    await publish_registry(session, station=station, now=now)


async def register_charge_point(
    session: AsyncSession, *, station: Station, config: ChargePointConfig, now: datetime
) -> ChargePoint | None:
    """Store a charge point and its connectors, None if it is known. The station is not told."""
    described = {
        "connector_count": config.connector_count,
        "dialect": config.dialect,
        "silence_limit_s": config.silence_limit_s,
        "rated_w": config.rated_w,
        "rounds_to_fen": config.rounds_to_fen,
        "qr_prefix": config.qr_prefix,
    }
    values = {
        "id": uuid7(to_ms(now)),
        "operator_id": station.operator_id,
        "station_id": station.id,
        "charge_point_no": config.charge_point_no,
        **described,
        "online": False,
        "firmware": "",
        "address": "",
        "created_at": now,
    }
    made: ChargePoint | None = await session.scalar(
        insert(ChargePoint)
        .values(values)
        .on_conflict_do_update(
            index_elements=["operator_id", "station_id", "charge_point_no"],
            set_={**described, "retired_at": None},
            where=col(ChargePoint.retired_at).is_not(None),
        )
        .returning(ChargePoint),
        execution_options={"populate_existing": True},
    )
    if made is None:
        return None
    await ensure_connectors(session, point=made, count=config.connector_count, now=now)
    waiting = await session.scalar(
        select(Quarantined).where(
            Quarantined.station_id == station.id,
            Quarantined.charge_point_no == config.charge_point_no,
        )
    )
    if waiting is not None:
        made.firmware, made.address = waiting.firmware, waiting.address
        await session.execute(delete(Quarantined).where(col(Quarantined.id) == waiting.id))
    return made


async def ensure_connectors(
    session: AsyncSession, *, point: ChargePoint, count: int, now: datetime
) -> None:
    """Have connectors 1 to `count`; none is ever removed, because its history stands.

    Raises:
        MalformedContractError: More than any charge point has.
    """
    if not 1 <= count <= CONNECTORS_MAX:
        raise MalformedContractError(
            f"connector {count} of {point.charge_point_no}: 1 to {CONNECTORS_MAX} can be"
        )
    rows = [
        {
            "id": uuid7(to_ms(now)),
            "operator_id": point.operator_id,
            "station_id": point.station_id,
            "charge_point_id": point.id,
            "charge_point_no": point.charge_point_no,
            "connector_no": connector_no,
            "status": ConnectorStatus.UNKNOWN,
            "plugged_in": False,
            "faults": 0,
        }
        for connector_no in range(1, count + 1)
    ]
    await session.execute(insert(Connector).values(rows).on_conflict_do_nothing())


async def publish_registry(session: AsyncSession, *, station: Station, now: datetime) -> None:
    """Send the station its charge points under a new version."""
    version = await session.scalar(
        update(Station)
        .where(col(Station.id) == station.id)
        .values(registry_version=Station.registry_version + 1)
        .returning(col(Station.registry_version))
    )
    assert version is not None
    station.registry_version = version
    await send_registry(session, station=station, now=now)


async def send_registry(session: AsyncSession, *, station: Station, now: datetime) -> None:
    """Send the station its charge points as they are, version unchanged."""
    points = await lookup.charge_points(session, station.id)
    await enqueue_command(
        session,
        station.id,
        PublishRegistry(
            version=station.registry_version,
            charge_points=tuple(config_of(point) for point in points),
        ),
        expires_at=None,
        now=now,
        replace_kind=True,
    )


def config_of(point: ChargePoint) -> ChargePointConfig:
    """Return what a station is told of a charge point."""
    return ChargePointConfig(
        charge_point_no=point.charge_point_no,
        connector_count=point.connector_count,
        dialect=point.dialect,
        silence_limit_s=point.silence_limit_s,
        rated_w=point.rated_w,
        rounds_to_fen=point.rounds_to_fen,
        qr_prefix=point.qr_prefix,
    )


def zone_of(station: Station) -> ZoneInfo:
    """Return a station's time zone."""
    return ZoneInfo(station.time_zone)


async def mark_online(session: AsyncSession, *, station_id: UUID, now: datetime) -> UUID | None:
    """Note that a station is heard of; returns the alarm that this ends, if there is one."""
    row = (
        await session.execute(
            select(Station.offline_alarm_id, Station.online)
            .where(Station.id == station_id)
            .with_for_update()
        )
    ).one()
    await session.execute(
        update(Station)
        .where(col(Station.id) == station_id)
        .values(online=True, last_seen_at=now, offline_alarm_id=None)
    )
    return row.offline_alarm_id if not row.online else None


async def mark_offline(
    session: AsyncSession, *, station_id: UUID, alarm_id: UUID, now: datetime
) -> bool:
    """Note that a station is not heard of; False if that was known. `now` is when it was last."""
    changed = await session.scalar(
        update(Station)
        .where(col(Station.id) == station_id, col(Station.online).is_(True))
        .values(online=False, offline_alarm_id=alarm_id, last_seen_at=now)
        .returning(col(Station.id))
    )
    return changed is not None
