"""The tables of a simulated Modbus device, and what a value looks like in them. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set

from edge.devices.sensors.profile import Point, Profile, Table, encode

Values = Mapping[str, float | None]


class IllegalAddressError(Exception):
    """A device has nothing there, as Modbus exception 2 says."""


class Memory:
    """Registers and bits by table. Between its first and last address a table has no holes."""

    def __init__(self, profile: Profile) -> None:
        self._tables: dict[Table, dict[int, int]] = {}
        self._groups: dict[tuple[Table, int], list[Point]] = defaultdict(list)
        for point in profile.points:
            self._groups[point.table, point.address].append(point)
        for table in Table:
            used = [
                address
                for point in profile.points
                if point.table is table
                for address in range(point.address, point.address + point.width)
            ]
            if used:
                self._tables[table] = dict.fromkeys(range(min(used), max(used) + 1), 0)

    def read(self, table: Table, address: int, count: int) -> list[int]:
        """Return what stands there. Raises IllegalAddressError."""
        cells = self._tables.get(table, {})
        try:
            return [cells[number] for number in range(address, address + count)]
        except KeyError:
            raise IllegalAddressError from None

    def write(self, values: Values, changed: Set[str]) -> None:
        """Let the changed points say their values, of all; points may share a register.

        A value that does not fit the register, or that the model cannot express, leaves it.
        """
        for (table, address), points in self._groups.items():
            if changed.isdisjoint(point.name for point in points):
                continue
            given = [point for point in points if point.name in values]
            cells = self._tables[table]
            try:
                words = self._words(given, values, cells, address)
            except ValueError:
                continue
            cells.update(zip(range(address, address + len(words)), words, strict=True))

    def _words(
        self, points: Sequence[Point], values: Values, cells: Mapping[int, int], address: int
    ) -> list[int]:
        if points[0].bit is not None:
            words = [cells[address]]
            for point in points:
                words = encode(point, values[point.name], words)
            return words
        said = next((point for point in points if values[point.name]), points[0])
        return encode(said, values[said.name])


def coil_at(points: Iterable[Point], address: int) -> Point | None:
    """Return the writable coil at an address, or None."""
    return next((p for p in points if p.writable and p.address == address), None)
