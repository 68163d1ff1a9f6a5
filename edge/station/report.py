"""The whole station in one fact, from which HQ heals whatever it missed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.clock import from_ms
from shared.contracts import events as e

if TYPE_CHECKING:
    from edge.station.core import Station


def state_report(station: Station) -> e.StationStateReported:
    """Return what is true at this moment."""
    now_ms = station.now().wall_ms
    version = station.tariffs.current(now_ms)
    connectors = station.live.all()
    online = {entry.connector[0] for entry in connectors if entry.online}
    return e.StationStateReported(
        occurred_at=from_ms(now_ms),
        connectors=tuple(
            e.ConnectorReport(*entry.connector, entry.status, entry.transaction_id)
            for entry in connectors
        ),
        charge_points=tuple(
            e.ChargePointReport(
                config.charge_point_no,
                config.charge_point_no in online,
                config.dialect,
                connector_count=config.connector_count,
                tariff_hash=station.tariffs.confirmed_hash(config.charge_point_no),
            )
            for config in station.registry.all().values()
        ),
        open_transaction_ids=tuple(t.transaction_id for t in station.book.open_transactions()),
        open_alarm_ids=tuple(alarm.alarm_id for alarm in station.alarms.open_alarms()),
        access_version=station.access.version,
        registry_version=station.registry.version,
        tariff_version_id=version.tariff_version_id if version else None,
        pins_version=station.pins.version,
    )
