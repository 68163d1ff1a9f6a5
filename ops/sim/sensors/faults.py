"""What can be wrong with a simulated Modbus device, by name, changeable while it runs."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

ON_THE_LINE: Final = {
    "mute": "does not answer at all",
    "mute_writes": "answers what is read, not what is written",
    "exception": "answers with a Modbus exception; `value` is its code (4)",
    "slow": "answers after `value` seconds (1)",
    "garbage": "answers with bytes that are no frame",
    "bad_crc": "answers with a damaged frame",
    "echo": "sends the request back instead of an answer, as a badly wired adapter does",
    "wrong_unit": "answers under the next unit id",
}
"""How a device answers."""

OF_VALUES: Final = {
    "stuck": "its values no longer change",
    "lie": "its numbers are off by `value` (10)",
    "flapping": "its smoke or other alarm contact goes on and off every `value` seconds (0.1)",
    "detector_fault": "says of itself that it is faulty",
    "no_value": "says that it has no value, where its model can",
}
"""What a device says."""

OF_OUTPUTS: Final = {
    "dead": "the coil takes what is written, nothing happens, and it reads back as it was",
    "weld": "a contactor's main contacts stay closed and its auxiliary contact shows it",
    "weld_hidden": "the same, but it reads back as ordered: current alone tells",
    "stuck_on": "once on, it stays on",
}
"""What an output does; `point` names its coil, "" means all of the device."""

KINDS: Final = {**ON_THE_LINE, **OF_VALUES, **OF_OUTPUTS}

_DEFAULTS: Final = {"exception": 4.0, "slow": 1.0, "lie": 10.0, "flapping": 0.1}


class Fault(Struct, frozen=True):
    """One fault of a device; `value` means what `KINDS` says."""

    kind: str
    point: str = ""
    value: float = 0.0


class Faults:
    """The faults of one device."""

    def __init__(self) -> None:
        self._present: dict[tuple[str, str], Fault] = {}

    def set(self, kind: str, point: str = "", value: float | None = None) -> None:
        """Begin a fault. Raises ValueError for a kind that is not known."""
        if kind not in KINDS:
            raise ValueError(f"unknown fault {kind!r}; there are {', '.join(sorted(KINDS))}")
        default = _DEFAULTS.get(kind, 0.0)
        self._present[kind, point] = Fault(kind, point, default if value is None else value)

    def clear(self, kind: str = "", point: str = "") -> None:
        """End one kind of fault, or all; of one point, or of all."""
        for key in list(self._present):
            if kind in ("", key[0]) and point in ("", key[1]):
                del self._present[key]

    def get(self, kind: str, point: str = "") -> Fault | None:
        """Return the fault of that kind, of this point or of the whole device; None: all well."""
        return self._present.get((kind, point)) or self._present.get((kind, ""))

    def active(self) -> list[Fault]:
        """Return the faults that are on."""
        return list(self._present.values())
