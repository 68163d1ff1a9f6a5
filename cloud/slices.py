"""The slices of HQ, lowest first: the only list of them, for both composition roots.

A slice that comes later is placed here and in the layer contract of `pyproject.toml`.
"""

from __future__ import annotations

from fastapi import APIRouter

from cloud.access import handlers as access_handlers
from cloud.access import routes as access_routes
from cloud.alarms import drill_pages, drill_routes, trip_pages
from cloud.alarms import handlers as alarms_handlers
from cloud.alarms import pages as alarms_pages
from cloud.alarms import routes as alarms_routes
from cloud.alarms import stream as alarms_stream
from cloud.alarms.notify import edit_pages as notify_edit_pages
from cloud.alarms.notify import pages as notify_pages
from cloud.alarms.notify import routes as notify_routes
from cloud.console import pages as console_pages
from cloud.identity import pages as identity_pages
from cloud.identity import routes as identity_routes
from cloud.ingest.handlers import Handlers
from cloud.live import routes as live_routes
from cloud.orders import handlers as orders_handlers
from cloud.orders import pages as orders_pages
from cloud.orders import routes as orders_routes
from cloud.protection import binding_pages, edit_pages, people_pages
from cloud.protection import handlers as protection_handlers
from cloud.protection import pages as protection_pages
from cloud.protection import routes as protection_routes
from cloud.remote import handlers as remote_handlers
from cloud.remote import routes as remote_routes
from cloud.stations import handlers as stations_handlers
from cloud.stations import routes as stations_routes
from cloud.tariffs import handlers as tariffs_handlers
from cloud.tariffs import routes as tariffs_routes

ROUTERS: tuple[APIRouter, ...] = (
    identity_routes.router,
    stations_routes.router,
    tariffs_routes.router,
    access_routes.router,
    protection_routes.router,
    orders_routes.router,
    remote_routes.router,
    live_routes.router,
    # Before the alarms themselves: `stream` is no alarm's id.
    alarms_stream.router,
    alarms_routes.router,
    drill_routes.router,
    notify_routes.router,
    identity_pages.router,
    orders_pages.router,
    protection_pages.router,
    people_pages.router,
    binding_pages.router,
    edit_pages.router,
    alarms_pages.router,
    drill_pages.router,
    notify_pages.router,
    notify_edit_pages.router,
    trip_pages.router,
    console_pages.router,
)

HANDLER_TABLES: tuple[Handlers, ...] = (
    stations_handlers.HANDLERS,
    tariffs_handlers.HANDLERS,
    access_handlers.HANDLERS,
    protection_handlers.HANDLERS,
    orders_handlers.HANDLERS,
    remote_handlers.HANDLERS,
    alarms_handlers.HANDLERS,
)
"""In layer order; `live` makes its own table, with its store, in the worker."""
