"""What may be asked over the local socket, and what is answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import to_builtins

from edge.devices.chargers.ykc.dialect import DIALECTS
from edge.local_actions import SiteActions
from edge.local_api import WRONG, Answer, Handler, LocalApiError
from edge.station.core import Station
from edge.station.effects import Effects
from edge.station.export import export_lines
from edge.station.registry import adopted
from shared.clock import from_ms
from shared.contracts.commands import ChargePointConfig

_NUMBER_DIGITS = 14
_CONNECTORS_MAX = 99
_RATED_KW_MAX = 10_000


def handlers(station: Station, health: Callable[[], Answer]) -> dict[str, Handler]:
    """Return the requests that an agent answers; `health` adds link, disk and gateway."""
    return {
        "state": lambda _request: {**_state(station), **health()},
        "waiting": lambda _request: {
            "waiting": to_builtins(list(station.registry.waiting.values()))
        },
        "export": lambda _request: {"lines": list(export_lines(station.book.closed.all()))},
        "adopt": lambda request: _adopt(station, request),
        **SiteActions(station).handlers(),
    }


def _state(station: Station) -> Answer:
    now = station.now()
    update = station.live.update(station.station_no, now, whole=True)
    connectors = [
        dict(zip(entry.__struct_fields__, to_builtins(entry), strict=True))
        for entry in (update.connectors if update else ())
    ]
    return {
        "station_no": station.station_no,
        "at": from_ms(now.wall_ms).isoformat(),
        "connectors": connectors,
        "open_transactions": [
            {"transaction_no": t.transaction_no, "stage": t.stage, "energy_dwh": t.last_dwh}
            for t in station.book.open_transactions()
        ],
        "alarms": to_builtins(station.alarms.open_alarms()),
        "latches": to_builtins(station.latches.all()),
    }


def _adopt(station: Station, request: dict[str, Any]) -> Answer:
    number = str(request.get("number", ""))
    if len(number) != _NUMBER_DIGITS or not (number.isascii() and number.isdigit()):
        raise LocalApiError(WRONG, "number: 14 digits are needed, as set in the charge point")
    waiting = station.registry.waiting.get(number)
    connectors = int(request.get("connectors") or (waiting.connector_count if waiting else 1))
    if not 1 <= connectors <= _CONNECTORS_MAX:
        raise LocalApiError(WRONG, f"connectors: {connectors}, 1 to {_CONNECTORS_MAX} are possible")
    dialect = str(request.get("dialect") or "ykc16")
    if dialect not in DIALECTS:
        raise LocalApiError(
            WRONG, f"dialect: {dialect!r}, use one of {', '.join(sorted(DIALECTS))}"
        )
    rated_kw = float(request.get("rated_kw") or 120)
    if not 0 < rated_kw <= _RATED_KW_MAX:
        raise LocalApiError(WRONG, f"rated_kw: {rated_kw}, up to {_RATED_KW_MAX} is possible")
    config = ChargePointConfig(
        charge_point_no=number,
        connector_count=connectors,
        dialect=dialect,
        rated_w=int(rated_kw * 1000),
    )
    effects = Effects()
    effects.changes.append(station.registry.adopt(config))
    station.expect(number, connectors, station.now())
    effects.events.append(adopted(config, from_ms(station.now().wall_ms)))
    station.perform(effects)
    return {"adopted": number, "connectors": connectors, "dialect": config.dialect}
