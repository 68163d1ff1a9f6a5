"""What HQ asks people on site to do: shown until somebody there has acknowledged it."""

from __future__ import annotations

from uuid import UUID

import msgspec
from msgspec import Struct

from edge.journal import Change, Delete, Put
from edge.station.effects import Effects
from edge.station.stored import decode_all
from shared.clock import from_ms
from shared.contracts.commands import Instruct
from shared.contracts.events import InstructionAcknowledged

KIND = "instruction"
_OPEN_MAX = 50
"""More on one screen nobody reads; HQ is told so."""


class Instruction(Struct, frozen=True):
    """One that nobody has acknowledged."""

    instruction_id: UUID
    text_zh: str
    text_en: str
    by: str
    sent_ms: int


class InstructionBook:
    """All instructions that are open, oldest first."""

    def __init__(self, stored: dict[str, bytes]) -> None:
        """Take what the journal holds under `KIND`."""
        found = decode_all(stored, Instruction).values()
        by_age = sorted(found, key=lambda each: each.sent_ms)
        self._open = {each.instruction_id: each for each in by_age}

    def all(self) -> list[Instruction]:
        """Return what is shown."""
        return list(self._open.values())

    def put(self, command: Instruct, now_ms: int) -> Effects:
        """Show one. Raises ValueError: it has no text, or too many are open."""
        if not command.text_zh.strip() and not command.text_en.strip():
            raise ValueError("text: say what is to be done")
        if len(self._open) >= _OPEN_MAX and command.instruction_id not in self._open:
            raise ValueError(f"too_many: {_OPEN_MAX} are not acknowledged yet")
        instruction = Instruction(
            command.instruction_id,
            command.text_zh or command.text_en,
            command.text_en or command.text_zh,
            command.by,
            now_ms,
        )
        self._open[command.instruction_id] = instruction
        effects = Effects()
        effects.changes.append(_stored(instruction))
        return effects

    def acknowledge(self, instruction_id: UUID, by: str, now_ms: int) -> Effects:
        """Show one no longer; it was read. Doing it twice changes nothing."""
        effects = Effects()
        if self._open.pop(instruction_id, None) is None:
            return effects
        effects.events.append(
            InstructionAcknowledged(
                occurred_at=from_ms(now_ms), instruction_id=instruction_id, by=by
            )
        )
        effects.changes.append(Delete(KIND, str(instruction_id)))
        return effects

    def everything(self) -> list[Change]:
        """Return the stored form of all."""
        return [_stored(each) for each in self._open.values()]


def _stored(instruction: Instruction) -> Put:
    return Put(KIND, str(instruction.instruction_id), msgspec.msgpack.encode(instruction))
