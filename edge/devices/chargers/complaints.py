"""What charge points send that they should not: one log line each, and counted by kind."""

from __future__ import annotations

import logging
from collections import Counter

from edge.bus import EventBus
from edge.devices.chargers.reports import AnyReport, Complained

logger = logging.getLogger(__name__)


class Complaints:
    """Counts complaints since the start. A conversation reports one of a kind a minute."""

    def __init__(self, bus: EventBus[AnyReport]) -> None:
        """Listen."""
        self.by_code: Counter[str] = Counter()
        bus.subscribe("complaints", self._on_complaint, Complained)

    def _on_complaint(self, report: Complained) -> None:
        self.by_code[report.code] += 1
        logger.warning(
            "charge point misbehaves number=%s link=%d code=%s: %s",
            report.charge_point_no or "-",
            report.link_id,
            report.code,
            report.detail,
        )
