"""The slices of HQ in layer order, lowest first: the only list of them, for both roots."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from fastapi import APIRouter

from cloud.ingest.handlers import Handlers

SLICES = ("identity", "stations", "tariffs", "access", "billing", "orders", "live", "alarms")


def routers() -> list[APIRouter]:
    """Return the routers of all slices that have one."""
    return [module.router for module in _modules("routes")]


def handler_tables() -> list[Handlers]:
    """Return the handlers of all slices that have some, in layer order."""
    return [module.HANDLERS for module in _modules("handlers") if hasattr(module, "HANDLERS")]


def _modules(name: str) -> list[Any]:
    return [
        import_module(f"cloud.{slice_}.{name}")
        for slice_ in SLICES
        if find_spec(f"cloud.{slice_}") and find_spec(f"cloud.{slice_}.{name}")
    ]
