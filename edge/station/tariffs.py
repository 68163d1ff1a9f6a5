"""The tariffs that the station holds, and which of them each charge point has confirmed."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec

from edge.devices.chargers.wishes import HeldTariff
from edge.journal import Change, Delete, Put
from edge.station.stored import decode_all
from shared.clock import from_ms
from shared.errors import ConfigError
from shared.tariff import (
    LETTERS,
    Period,
    PeriodPrice,
    Tariff,
    TariffError,
    TariffVersion,
    check_tariff,
)

KIND = "tariff"
KIND_CONFIRMED = "tariff_confirmed"
_NEWEST_KEPT = 12
_LOCAL = 0
"""The version of a station's own tariff; HQ counts from 1."""


class TariffShelf:
    """Versions by id. A transaction keeps the version that was valid when it began.

    `drop_unneeded` says which ones are forgotten.
    """

    def __init__(self, versions: dict[str, bytes], confirmed: dict[str, bytes]) -> None:
        """Take what the journal holds under `KIND` and `KIND_CONFIRMED`."""
        stored = decode_all(versions, TariffVersion).values()
        self._versions: dict[UUID, TariffVersion] = {v.tariff_version_id: v for v in stored}
        self._local_id: UUID | None = None
        self._confirmed = {number: blob.decode() for number, blob in confirmed.items()}

    def put(self, version: TariffVersion) -> Change:
        """Keep a version. Raises TariffError when it cannot be used."""
        check_tariff(version.tariff)
        self._versions[version.tariff_version_id] = version
        return Put(KIND, str(version.tariff_version_id), msgspec.msgpack.encode(version))

    def put_local(self, version: TariffVersion) -> Change:
        """Keep the station's own version, which holds while HQ has published none.

        Earlier ones stay for the transactions that began with them.
        """
        change = self.put(version)
        self._local_id = version.tariff_version_id
        return change

    def get(self, tariff_version_id: UUID | None) -> TariffVersion | None:
        """Return a version, None when it is not known here."""
        return self._versions.get(tariff_version_id) if tariff_version_id else None

    def current(self, wall_ms: int) -> TariffVersion | None:
        """Return the version for a transaction that begins now: HQ's highest, else the own."""
        now = from_ms(wall_ms)
        valid = [v for v in self._versions.values() if v.version != _LOCAL and v.valid_from <= now]
        own = self.get(self._local_id)
        return max(valid, key=lambda version: version.version, default=own)

    def drop_unneeded(self, needed: Collection[UUID | None], wall_ms: int) -> list[Change]:
        """Forget the versions that nobody will ask for again.

        Kept are those that transactions need whose record is to come (`needed`), the station's
        own, those that charge points hold, the current one with all newer ones, and the newest
        dozen: when a clock that ran ahead is set back, what is valid then must be there.
        """
        current = self.current(wall_ms)
        if current is None:
            return []
        published = sorted(v.version for v in self._versions.values() if v.version != _LOCAL)
        oldest_kept = min([*published[-_NEWEST_KEPT:], current.version])
        hashes = set(self._confirmed.values())
        kept = {self._local_id, current.tariff_version_id, *needed}
        gone = [
            version
            for version in self._versions.values()
            if version.tariff_version_id not in kept
            and (version.version == _LOCAL or version.version < oldest_kept)
            and version.tariff.content_hash() not in hashes
        ]
        for version in gone:
            del self._versions[version.tariff_version_id]
        return [Delete(KIND, str(version.tariff_version_id)) for version in gone]

    def held(self, wall_ms: int) -> HeldTariff | None:
        """Return the current version as charge points know it."""
        version = self.current(wall_ms)
        if version is None:
            return None
        return HeldTariff(version.model_no, version.tariff, version.tariff.content_hash())

    def confirmed_hash(self, charge_point_no: str) -> str:
        """Return the hash of the tariff that a charge point holds, "" when unknown."""
        return self._confirmed.get(charge_point_no, "")

    def confirm(self, charge_point_no: str, content_hash: str) -> Change:
        """Remember what a charge point holds."""
        self._confirmed[charge_point_no] = content_hash
        return Put(KIND_CONFIRMED, charge_point_no, content_hash.encode())

    def everything(self) -> list[Change]:
        """Return the stored form of all versions and of what charge points hold."""
        return [
            *(self.put(version) for version in self._versions.values()),
            *(self.confirm(number, held) for number, held in self._confirmed.items()),
        ]

    def by_hash(self, content_hash: str) -> TariffVersion | None:
        """Return the newest version with this content."""
        same = [v for v in self._versions.values() if v.tariff.content_hash() == content_hash]
        return max(same, key=lambda version: version.version, default=None)


def load_file(path: Path) -> TariffVersion:
    """Read the tariff of a station without HQ: the `tariff` object of `vw rate`'s input.

    Raises:
        ConfigError: The file cannot be read or the tariff not used; names the field.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        tariff = Tariff(
            slots=str(values["slots"]),
            prices={
                Period(name): PeriodPrice(int(energy), int(service))
                for name, (energy, service) in values["prices_e5"].items()
            },
            per_minute_e5=int(values.get("per_minute_e5", 0)),
        )
        check_tariff(tariff)
    except OSError as error:
        raise ConfigError(f"tariff.file: {path}: cannot be read: {error.strerror}") from error
    except TariffError as error:
        raise ConfigError(f"tariff.file: {path}: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        wanted = f"slots (48 of {''.join(LETTERS)}), prices_e5 {{period: [electricity, service]}}"
        raise ConfigError(
            f"tariff.file: {path}: not a tariff ({error}); it needs {wanted}"
        ) from error
    return TariffVersion(
        tariff_version_id=uuid5(NAMESPACE_URL, tariff.content_hash()),
        version=_LOCAL,
        model_no=1,
        tariff=tariff,
        valid_from=from_ms(0),
    )
