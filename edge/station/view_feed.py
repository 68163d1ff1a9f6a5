"""Views of the station as lines for the local socket: which are worth sending, and when."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import structs

from edge.station.view_builder import ViewBuilder
from edge.view import StationView, SystemView

_encoder = msgspec.json.Encoder()


class ViewFeed:
    """Makes the lines that all who watch are sent."""

    def __init__(self, builder: ViewBuilder) -> None:
        self._builder = builder
        self._sent: tuple[Any, ...] | None = None

    def line(self, *, only_changed: bool) -> bytes | None:
        """Return the station now as a line of JSON; None when nothing but time has passed."""
        view = self._builder.build()
        content = _content(view)
        if only_changed and content == self._sent:
            return None
        self._sent = content
        return _encoder.encode(view) + b"\n"


def _content(view: StationView) -> tuple[Any, ...]:
    """Return what a screen would draw otherwise: all but ages, the beat and the machine."""
    return (
        structs.replace(
            view,
            beat=0,
            at_ms=0,
            charge_points=(),
            points=(),
            channels=(),
            system=_steady(view.system),
        ),
        [
            structs.replace(connector, age_s=None)
            for point in view.charge_points
            for connector in point.connectors
        ],
        [(point.charge_point_no, point.online) for point in view.charge_points],
        [structs.replace(point, age_s=None) for point in view.points],
        [structs.replace(channel, age_s=None) for channel in view.channels],
    )


def _steady(system: SystemView) -> SystemView:
    return structs.replace(
        system,
        unacknowledged=0,
        backlog_records=0,
        disk_free_bytes=None,
        clock_offset_ms=None,
        rss_bytes=None,
    )
