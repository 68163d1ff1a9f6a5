"""What a worker remembers of stations is bounded."""

from __future__ import annotations

from uuid import UUID
from zoneinfo import ZoneInfo

from cloud.ingest.batches import KNOWN_MAX, Directory, KnownStation
from shared.clock import SystemClock


async def test_the_directory_forgets_the_oldest_number_first() -> None:
    asked: list[str] = []

    async def find(station_no: str) -> KnownStation:
        asked.append(station_no)
        return KnownStation(UUID(int=1), UUID(int=2), station_no, ZoneInfo("UTC"))

    directory = Directory(find, SystemClock())
    for number in range(KNOWN_MAX + 1):
        await directory.get(str(number))
    asked.clear()
    for number in (str(KNOWN_MAX), "1", "0"):
        await directory.get(number)
    assert asked == ["0"]
