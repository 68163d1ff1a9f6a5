"""Which charge points belong to the station, who waits to be adopted, and who is on-line."""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec import Struct

from edge.journal import Change, Put
from edge.station.stored import decode_one
from shared.contracts.commands import ChargePointConfig, PublishRegistry
from shared.contracts.events import ChargePointAdopted

KIND = "registry"
_WAITING_MAX = 100
_WAITING_KEEP_MS = 600_000
_LOCAL = "local"
_PUBLISHED = "published"


class Waiting(Struct, frozen=True):
    """An unknown number that knocked: from where, with which program, when last."""

    charge_point_no: str
    address: str
    firmware: str
    connector_count: int
    last_seen_ms: int


def adopted(config: ChargePointConfig, at: datetime) -> ChargePointAdopted:
    """Return the fact that the station itself added a charge point."""
    return ChargePointAdopted(
        occurred_at=at,
        charge_point_no=config.charge_point_no,
        connector_count=config.connector_count,
        dialect=config.dialect,
        rated_w=config.rated_w,
        silence_limit_s=config.silence_limit_s,
        rounds_to_fen=config.rounds_to_fen,
    )


class Registry:
    """Charge points by number: HQ's, then those added here; HQ's win where both name one."""

    def __init__(
        self, stored: dict[str, bytes], from_settings: tuple[ChargePointConfig, ...] = ()
    ) -> None:
        """Take what the journal holds under `KIND` and what the configuration adds."""
        self.version = 0
        self._published: dict[str, ChargePointConfig] = {}
        self._local = {config.charge_point_no: config for config in from_settings}
        self.waiting: dict[str, Waiting] = {}
        self._source: PublishRegistry | None = None
        if published := decode_one(stored, _PUBLISHED, PublishRegistry):
            self._take(published)
        adopted = decode_one(stored, _LOCAL, list[ChargePointConfig]) or []
        self._adopted = {config.charge_point_no: config for config in adopted}

    def _take(self, published: PublishRegistry) -> None:
        self._source = published
        self.version = published.version
        self._published = {config.charge_point_no: config for config in published.charge_points}

    def publish(self, published: PublishRegistry) -> Change:
        """Replace HQ's part."""
        self._take(published)
        for number in self._published:
            self.waiting.pop(number, None)
        return Put(KIND, _PUBLISHED, msgspec.msgpack.encode(published))

    def keep_waiting(self, waiting: Waiting) -> bool:
        """Remember who knocked; whether it is new. Of very many, who knocked last is left out.

        Numbers can be made up without end, so that the list has one.
        """
        number = waiting.charge_point_no
        is_new = number not in self.waiting
        if is_new and len(self.waiting) >= _WAITING_MAX:
            oldest = min(self.waiting.values(), key=lambda other: other.last_seen_ms)
            if abs(waiting.last_seen_ms - oldest.last_seen_ms) < _WAITING_KEEP_MS:
                return False
            del self.waiting[oldest.charge_point_no]
        self.waiting[number] = waiting
        return is_new

    def adopt(self, config: ChargePointConfig) -> Change:
        """Add a charge point at the station itself."""
        self._adopted[config.charge_point_no] = config
        self.waiting.pop(config.charge_point_no, None)
        return self._stored_adopted()

    def _stored_adopted(self) -> Put:
        return Put(KIND, _LOCAL, msgspec.msgpack.encode(list(self._adopted.values())))

    def everything(self) -> list[Change]:
        """Return the stored form of both parts."""
        changes: list[Change] = [self._stored_adopted()]
        if self._source is not None:
            changes.append(Put(KIND, _PUBLISHED, msgspec.msgpack.encode(self._source)))
        return changes

    def get(self, charge_point_no: str) -> ChargePointConfig | None:
        """Return how to serve a number, None when it is unknown."""
        for source in (self._published, self._adopted, self._local):
            if config := source.get(charge_point_no):
                return config
        return None

    def all(self) -> dict[str, ChargePointConfig]:
        """Return every charge point of the station."""
        return {**self._local, **self._adopted, **self._published}

    def local_additions(self) -> list[ChargePointConfig]:
        """Return what HQ has not named itself."""
        return [
            config
            for number, config in {**self._local, **self._adopted}.items()
            if number not in self._published
        ]
