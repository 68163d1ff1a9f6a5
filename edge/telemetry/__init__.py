"""Telemetry: samples gathered in memory, written each second, sealed into columnar batches."""

from __future__ import annotations

from edge.telemetry.collector import Telemetry, TelemetrySettings
from edge.telemetry.store import Sealed

__all__ = ["Sealed", "Telemetry", "TelemetrySettings"]
