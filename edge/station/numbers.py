"""Transaction numbers (交易流水号) that the station makes: 32 digits, never twice."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from edge.journal import Change, Put
from shared.clock import from_ms

KIND = "counter"
_KEY = "transaction"


class TransactionNumbers:
    """Charge point, connector, local YYMMDDhhmmss, and a counter that survives restarts."""

    def __init__(self, stored: dict[str, bytes], zone: ZoneInfo) -> None:
        """Take what the journal holds under `KIND`."""
        count = stored.get(_KEY, b"")
        self._next = int(count) if count.isdigit() else 0
        self._zone = zone

    def make(self, charge_point_no: str, connector_no: int, now_ms: int) -> tuple[str, Change]:
        """Return a new number, and the change that must be stored with its first use."""
        self._next = (self._next + 1) % 10_000
        local = from_ms(now_ms).astimezone(self._zone)
        number = f"{charge_point_no}{connector_no:02d}{local:%y%m%d%H%M%S}{self._next:04d}"
        return number, self.stored()

    def stored(self) -> Change:
        """Return the stored form of the counter."""
        return Put(KIND, _KEY, str(self._next).encode())
