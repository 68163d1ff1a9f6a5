"""State changes go to viewers at once, after their commit."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from cloud.ingest.handlers import Handlers, Ingested
from cloud.live.store import LiveStore
from shared.clock import to_ms
from shared.contracts.events import ConnectorStatusChanged


def make_handlers(store: LiveStore) -> Handlers:
    """Return the slice's table; it needs the store, which the composition root makes."""

    async def on_connector_status_changed(
        session: AsyncSession, context: Ingested, event: ConnectorStatusChanged
    ) -> None:
        del session

        async def tell() -> None:
            store.on_status(
                context.station_no,
                event.charge_point_no,
                event.connector_no,
                event.status,
                to_ms(event.occurred_at),
            )

        context.after.add(tell)

    return {ConnectorStatusChanged: on_connector_status_changed}
