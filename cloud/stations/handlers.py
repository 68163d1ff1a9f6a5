"""Facts about what exists and how it is; the station's word on itself wins over ours."""

from __future__ import annotations

import logging
from datetime import datetime

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select, update

from cloud.core.commands import confirm_command, settle_command
from cloud.ingest.handlers import Handlers, Ingested
from cloud.stations import service
from cloud.stations.models import ChargePoint, Connector, Quarantined, Station
from shared.clock import to_ms
from shared.contracts.commands import ChargePointConfig, UpdateFirmware
from shared.contracts.events import (
    ChargePointAdopted,
    ChargePointConnected,
    ChargePointLost,
    ChargePointQuarantined,
    CommandSettled,
    ConnectorReport,
    ConnectorStatusChanged,
    StationStarted,
    StationStateReported,
)
from shared.contracts.words import ConnectorStatus
from shared.ids import uuid7

logger = logging.getLogger(__name__)


async def on_station_started(
    session: AsyncSession, context: Ingested, event: StationStarted
) -> None:
    """Note what runs there."""
    await session.execute(
        update(Station)
        .where(col(Station.id) == context.station_id)
        .values(agent_version=event.version, boot_id=event.boot_id)
    )


async def on_state_reported(
    session: AsyncSession, context: Ingested, event: StationStateReported
) -> None:
    """Heal: take over what the station says and send it what it has not.

    Tariffs and access lists are healed by their own slices from the same fact.
    """
    station = await _station(session, context)
    station.reported_registry_version = event.registry_version
    station.reported_access_version = event.access_version
    station.reported_tariff_version_id = event.tariff_version_id
    session.add(station)
    for report in event.charge_points:
        await session.execute(
            update(ChargePoint)
            .where(
                col(ChargePoint.station_id) == context.station_id,
                col(ChargePoint.charge_point_no) == report.charge_point_no,
            )
            .values(online=report.online, last_change_at=context.no_later(event.occurred_at))
        )
    for connector in event.connectors:
        await _take_report(session, context, connector, context.no_later(event.occurred_at))
    if event.registry_version < station.registry_version:
        await service.send_registry(session, station=station, now=context.received_at)


async def on_charge_point_connected(
    session: AsyncSession, context: Ingested, event: ChargePointConnected
) -> None:
    """Note that a charge point is there, and register one that the station adopted itself."""
    station = await _station(session, context)
    config = ChargePointConfig(
        charge_point_no=event.charge_point_no,
        connector_count=max(event.connector_count, 1),
        dialect=event.dialect,
    )
    point = await _point(session, context, event.charge_point_no)
    if point is None:
        point = await service.register_charge_point(
            session, station=station, config=config, now=context.received_at
        )
        assert point is not None, "it was not there, and the station's facts come one by one"
        await service.publish_registry(session, station=station, now=context.received_at)
    if point.firmware and point.firmware != event.firmware:
        await confirm_command(
            session,
            station_id=context.station_id,
            kind=UpdateFirmware.__name__,
            charge_point_no=event.charge_point_no,
            reason=f"{point.firmware} → {event.firmware}",
        )
    point.online, point.last_change_at = True, context.no_later(event.occurred_at)
    point.firmware, point.address, point.is_dc = event.firmware, event.address, event.is_dc
    if event.connector_count > point.connector_count:
        point.connector_count = event.connector_count
        await service.ensure_connectors(
            session, point=point, count=event.connector_count, now=context.received_at
        )
    session.add(point)


async def on_charge_point_lost(
    session: AsyncSession, context: Ingested, event: ChargePointLost
) -> None:
    """Note that a charge point is gone, and with it what its connectors do."""
    await session.execute(
        update(ChargePoint)
        .where(
            col(ChargePoint.station_id) == context.station_id,
            col(ChargePoint.charge_point_no) == event.charge_point_no,
        )
        .values(online=False, last_change_at=context.no_later(event.occurred_at))
    )
    await session.execute(
        update(Connector)
        .where(
            col(Connector.station_id) == context.station_id,
            col(Connector.charge_point_no) == event.charge_point_no,
        )
        .values(status=ConnectorStatus.OFFLINE, last_change_at=context.no_later(event.occurred_at))
    )


async def on_charge_point_quarantined(
    session: AsyncSession, context: Ingested, event: ChargePointQuarantined
) -> None:
    """Keep the number until somebody adopts it."""
    statement = insert(Quarantined).values(
        id=uuid7(to_ms(context.received_at)),
        operator_id=context.operator_id,
        station_id=context.station_id,
        charge_point_no=event.charge_point_no,
        address=event.address,
        firmware=event.firmware,
        first_seen_at=event.occurred_at,
        last_seen_at=event.occurred_at,
    )
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["operator_id", "station_id", "charge_point_no"],
            set_={
                "address": event.address,
                "firmware": event.firmware,
                "last_seen_at": event.occurred_at,
            },
        )
    )


async def on_charge_point_adopted(
    session: AsyncSession, context: Ingested, event: ChargePointAdopted
) -> None:
    """Take over a charge point that was added at the station itself."""
    station = await _station(session, context)
    config = ChargePointConfig(
        charge_point_no=event.charge_point_no,
        connector_count=max(event.connector_count, 1),
        dialect=event.dialect,
        rated_w=event.rated_w,
        silence_limit_s=event.silence_limit_s,
        rounds_to_fen=event.rounds_to_fen,
    )
    made = await service.register_charge_point(
        session, station=station, config=config, now=context.received_at
    )
    if made is not None:
        await service.publish_registry(session, station=station, now=context.received_at)


async def on_connector_status_changed(
    session: AsyncSession, context: Ingested, event: ConnectorStatusChanged
) -> None:
    """Note what a connector does."""
    await _set_connector(
        session,
        context,
        charge_point_no=event.charge_point_no,
        connector_no=event.connector_no,
        at=context.no_later(event.occurred_at),
        status=event.status,
        plugged_in=event.plugged_in,
        faults=event.faults,
        transaction_id=event.transaction_id,
    )


async def on_command_settled(
    session: AsyncSession, context: Ingested, event: CommandSettled
) -> None:
    """Close the command; slices above may look at it afterwards in the same transaction."""
    row = await settle_command(
        session,
        station_id=context.station_id,
        command_id=event.command_id,
        outcome=event.outcome,
        reason=event.reason,
        answer=event.answer,
        now=context.received_at,
    )
    if row is None:
        logger.warning(
            "settled a command that is not its own station=%s command=%s",
            context.station_no,
            event.command_id,
        )


HANDLERS: Handlers = {
    StationStarted: on_station_started,
    StationStateReported: on_state_reported,
    ChargePointConnected: on_charge_point_connected,
    ChargePointLost: on_charge_point_lost,
    ChargePointQuarantined: on_charge_point_quarantined,
    ChargePointAdopted: on_charge_point_adopted,
    ConnectorStatusChanged: on_connector_status_changed,
    CommandSettled: on_command_settled,
}


async def _take_report(
    session: AsyncSession, context: Ingested, report: ConnectorReport, at: datetime
) -> None:
    await _set_connector(
        session,
        context,
        charge_point_no=report.charge_point_no,
        connector_no=report.connector_no,
        at=at,
        status=report.status,
        transaction_id=report.transaction_id,
    )


async def _set_connector(
    session: AsyncSession,
    context: Ingested,
    *,
    charge_point_no: str,
    connector_no: int,
    at: datetime,
    **values: object,
) -> None:
    """Write a connector's state unless a later one stands; facts may come late, never undo."""
    found = await session.scalar(
        select(Connector)
        .where(
            Connector.station_id == context.station_id,
            Connector.charge_point_no == charge_point_no,
            Connector.connector_no == connector_no,
        )
        .with_for_update()
    )
    if found is None:
        point = await _point(session, context, charge_point_no)
        if point is None:
            # Adopted at the station; the fact that says so is on its way in the same lane or
            # was lost with a replaced disk. The next whole report heals it.
            logger.info("state of an unknown connector charge_point=%s", charge_point_no)
            return
        await service.ensure_connectors(
            session, point=point, count=connector_no, now=context.received_at
        )
        await _set_connector(
            session,
            context,
            charge_point_no=charge_point_no,
            connector_no=connector_no,
            at=at,
            **values,
        )
        return
    if found.last_change_at is not None and found.last_change_at > at:
        return
    for name, value in values.items():
        setattr(found, name, value)
    found.last_change_at = at
    session.add(found)


async def _station(session: AsyncSession, context: Ingested) -> Station:
    station = await session.get(Station, context.station_id)
    assert station is not None, "ingest looked it up"
    return station


async def _point(
    session: AsyncSession, context: Ingested, charge_point_no: str
) -> ChargePoint | None:
    """Return a charge point of the station, a retired one too: what it does is still true."""
    found: ChargePoint | None = await session.scalar(
        select(ChargePoint).where(
            ChargePoint.station_id == context.station_id,
            ChargePoint.charge_point_no == charge_point_no,
        )
    )
    return found
