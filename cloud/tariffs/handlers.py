"""Facts about tariffs: who confirmed what, and stations that lack a version."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from cloud.ingest.handlers import Handlers, Ingested
from cloud.tariffs import service
from shared.contracts.events import StationStateReported, TariffConfirmed


async def on_tariff_confirmed(
    session: AsyncSession, context: Ingested, event: TariffConfirmed
) -> None:
    """Note which version a charge point holds."""
    await service.note_holding(
        session,
        operator_id=context.operator_id,
        station_id=context.station_id,
        event=event,
        at=context.no_later(event.occurred_at),
        now=context.received_at,
    )


async def on_state_reported(
    session: AsyncSession, context: Ingested, event: StationStateReported
) -> None:
    """Send the versions that the station has not got."""
    await service.send_missing(
        session,
        operator_id=context.operator_id,
        station_id=context.station_id,
        held_id=event.tariff_version_id,
        now=context.received_at,
    )


HANDLERS: Handlers = {
    TariffConfirmed: on_tariff_confirmed,
    StationStateReported: on_state_reported,
}
