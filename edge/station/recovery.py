"""After the journal had to be replaced: what it owed HQ is made anew from the records' second copy.

A broken journal takes settlements with it that no charge point sends again, because they were
confirmed. HQ knows a transaction by its number and drops what it has already.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edge.devices.chargers.reports import RecordReceived
from edge.devices.chargers.wishes import CloseLink
from edge.station.effects import Effects
from edge.station.endings import record_hash
from edge.station.records import on_record, settle_again

if TYPE_CHECKING:
    from edge.station.core import Station

logger = logging.getLogger(__name__)

DAYS = 7
"""How far back records are taken in again."""
_SLICE = 50
"""Records of one turn of the loop, so that safety is never kept waiting."""


async def recover_records(station: Station, reports: Sequence[RecordReceived]) -> None:
    """Take records in again, then have every charge point send what it still holds."""
    logger.warning("journal was replaced, records taken in again count=%d", len(reports))
    for first in range(0, len(reports), _SLICE):
        effects = Effects()
        for report in reports[first : first + _SLICE]:
            effects.add(_recover(station, report))
        station.perform(effects)
        await asyncio.sleep(0)
    for number in station.registry.all():
        station.send(CloseLink(charge_point_no=number, reason="journal_replaced"))


def _recover(station: Station, report: RecordReceived) -> Effects:
    number = report.record.transaction_no
    closed = station.book.closed.get(number)
    if closed is not None and closed.record_sha256 == record_hash(report.record):
        return settle_again(station.book, closed, report, number)
    effects = on_record(station.book, station.alarms, report)
    effects.confirms.clear()  # it was confirmed when it came
    return effects
