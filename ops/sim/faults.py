"""What can be wrong with a simulated charge point: data, changeable while it runs."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

GARBAGE = bytes.fromhex("00ff6803aa556868ff0d0a7e")


@dataclass(slots=True, kw_only=True)
class Faults:
    """All off by default. Each can be set by name at any time.

    Attributes:
        link_down: No link is made, and the present one is closed at once.
        no_login: Connects, but never logs in.
        trickle_s: Sends one byte each so many seconds (slow link); 0 = off.
        garbage_every: Noise before each n-th frame; 0 = off.
        repeat: Sends every frame so many times more.
        high_crc: Sends the high CRC byte first.
        add_energy_dwh: The record's total energy lies by so much, its periods do not.
        add_amount_e4: The record's amount lies by so much.
        no_record: Never sends a record.
        rounds_to_fen: Amounts are cut to whole fen, as some charge points do.
        wrong_clock_s: The clock is wrong by so many seconds and cannot be set.
        clock_1970: The clock began at 1970 when the fault was set, and cannot be set.
        ignore_stop: Neither answers a remote stop nor stops.
        false_stop: Answers a remote stop with success, but the current goes on.
        stop_refused: Answers a remote stop with failure, and goes on.
        meter_back_dwh: Meter and live energy are lower by so much from now on.
        fault_bits: Hardware fault bits of 0x13, raw.
        start_failure: Stop reason (0x4A..0x69) with which every start fails; 0 = off.
        no_heartbeat: Sends no heartbeats.
        ignore_confirm: Loses every 0x40.
        flood_per_s: Sends so many needless frames a second; 0 = off.
    """

    link_down: bool = False
    no_login: bool = False
    trickle_s: float = 0.0
    garbage_every: int = 0
    repeat: int = 0
    high_crc: bool = False
    add_energy_dwh: int = 0
    add_amount_e4: int = 0
    no_record: bool = False
    rounds_to_fen: bool = False
    wrong_clock_s: int = 0
    clock_1970: bool = False
    ignore_stop: bool = False
    false_stop: bool = False
    stop_refused: bool = False
    meter_back_dwh: int = 0
    fault_bits: int = 0
    start_failure: int = 0
    no_heartbeat: bool = False
    ignore_confirm: bool = False
    flood_per_s: int = 0

    def set(self, name: str, value: Any) -> None:
        """Set one fault.

        Raises:
            ValueError: No such fault, or a value of the wrong kind.
        """
        kinds = {field.name: type(getattr(Faults(), field.name)) for field in fields(self)}
        kind = kinds.get(name)
        if kind is None:
            raise ValueError(f"unknown fault {name!r}; there are {', '.join(sorted(kinds))}")
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise ValueError(f"fault {name}: {value!r} is no {kind.__name__}")
        setattr(self, name, value)

    def active(self) -> dict[str, Any]:
        """Return the faults that are on."""
        return {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if getattr(self, field.name) != field.default
        }
