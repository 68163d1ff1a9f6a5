"""One order as a page: why its bill is what it is."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from cloud.core.db import SessionDep
from cloud.core.deps import ClockDep, Reader
from cloud.orders import service
from cloud.orders.explain import explain_order
from cloud.stations import lookup
from cloud.web.pages import Pages

router = APIRouter(include_in_schema=False)
_pages = Pages("cloud.orders")


@router.get("/orders/{order_id}")
async def order_page(
    request: Request, order_id: UUID, staff: Reader, session: SessionDep, clock: ClockDep
) -> Response:
    """Show readings, periods, prices and rounding, and three figures side by side."""
    order = await service.order_by_id(session, operator_id=staff.operator_id, order_id=order_id)
    station = await lookup.station_by_id(session, staff.operator_id, order.station_id)
    explanation = await explain_order(session, str(order.id), operator_id=staff.operator_id)
    return _pages.render(
        request,
        "orders/detail.html",
        order=order,
        station=station,
        zone=station.time_zone,
        e=explanation,
        now=clock.now(),
    )
