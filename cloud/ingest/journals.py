"""Whether a station speaks with one journal: two agents with its number take turns in the inbox.

A journal counts its batches upwards. One that was made anew begins another stream and the old one
falls silent; one that was put back from a copy steps back once. Only of two that live side by side
one comes again after the other, again and again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

WINDOW_MS = 15 * 60_000
"""How far back is looked. Agents that throw each other off the broker are back within a minute."""
APART_MS = 5_000
"""What came so shortly after another may have overtaken it: workers have clocks of their own."""
RETURNS = 3
"""So often a journal has to come again after another, on one lane: a disk that was put back does
so once, and the last batch of an agent that is gone may come after the first of the next."""

# Samples travel eight batches at once, in no order: of their numbers nothing can be said.
HEARD = """
WITH told AS (
    SELECT s.operator_id, s.station_id, s.lane, i.stream_id, i.seq, i.received_ms,
        lag(i.stream_id) OVER turn AS stream_before, lag(i.seq) OVER turn AS seq_before,
        lag(i.received_ms) OVER turn AS before_ms,
        min(i.received_ms) OVER (PARTITION BY i.stream_id) AS first_ms
    FROM ingest_inbox i JOIN ingest_stream s ON s.id = i.stream_id
    WHERE i.received_ms >= $1
    WINDOW turn AS (PARTITION BY s.station_id, s.lane ORDER BY i.received_ms, i.seq)
), lanes AS (
    SELECT operator_id, station_id, count(*) FILTER (
        WHERE received_ms - before_ms >= $2 AND CASE
            WHEN stream_id <> stream_before THEN first_ms < received_ms
            ELSE lane <> 'telemetry' AND seq <= seq_before
        END
    ) AS returns
    FROM told GROUP BY operator_id, station_id, lane
)
SELECT operator_id, station_id, max(returns) FROM lanes GROUP BY operator_id, station_id
"""


@dataclass(frozen=True, slots=True)
class Heard:
    """A station that was heard lately, and how often a journal came again after another."""

    operator_id: UUID
    station_id: UUID
    returns: int


async def heard_lately(connection: Any, now_ms: int) -> list[Heard]:
    """Return the stations whose batches came within the window, over a raw connection."""
    rows = await connection.fetch(HEARD, now_ms - WINDOW_MS, APART_MS)
    return [Heard(*row) for row in rows]
