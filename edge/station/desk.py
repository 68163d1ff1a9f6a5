"""The command desk: each command of HQ is carried out at most once, in time, or refused.

Ids are stored before anything is done, so that a command that comes again after a crash is
known; only a stop acts first, because stopping twice does no harm and waiting might.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import msgspec
from msgspec import Struct

from edge.journal import Delete, Put
from edge.station.effects import Effects
from shared.clock import from_ms
from shared.contracts import commands as c
from shared.contracts.envelope import CommandEnvelope
from shared.contracts.events import CommandSettled
from shared.contracts.words import Outcome
from shared.errors import CommandRejectedError

KIND = "command"
_KEEP = timedelta(days=7)


class Seen(Struct):
    """A command that came: settled how, or not yet."""

    command_id: UUID
    seen_ms: int
    outcome: Outcome | None = None
    reason: str = ""
    answer: bytes = b""


Carry = Callable[[UUID, c.AnyCommand], Effects]
"""Carries a command out; settles it in its effects, or later through `CommandDesk.settle`."""


class CommandDesk:
    """Ids, expiry and outcomes of commands. What a command means is the core's business."""

    def __init__(self, stored: dict[str, bytes], carry: Carry) -> None:
        """Take what the journal holds under `KIND`."""
        decoder = msgspec.msgpack.Decoder(Seen)
        seen = (decoder.decode(blob) for blob in stored.values())
        self._seen = {entry.command_id: entry for entry in seen}
        self._active: set[UUID] = set()
        self._carry = carry

    def receive(self, envelope: CommandEnvelope, now_ms: int) -> tuple[Effects, bool]:
        """Take in a command.

        Returns:
            What is to be stored or done now, and whether `carry_out` is to be called once that
            is durable.
        """
        effects = Effects()
        known = self._seen.get(envelope.command_id)
        if known is not None and known.outcome is not None:
            effects.events.append(_settled(known, now_ms))
            return effects, False
        if envelope.command_id in self._active:
            return effects, False
        # Known but not active: the agent died before the command was settled. What it did is in
        # the book, so that carrying it out again finds it there.
        self._active.add(envelope.command_id)
        entry = known or Seen(envelope.command_id, now_ms)
        self._seen[envelope.command_id] = entry
        if envelope.expires_at is not None and envelope.expires_at <= from_ms(now_ms):
            return self.settle(entry.command_id, Outcome.EXPIRED, "too_late", now_ms), False
        effects.changes.append(_stored(entry))
        if isinstance(envelope.command, c.EmergencyStop | c.StopTransaction):
            effects.add(self.carry_out(envelope, now_ms))
            return effects, False
        return effects, True

    def carry_out(self, envelope: CommandEnvelope, now_ms: int) -> Effects:
        """Do what a command says; a refusal becomes its outcome."""
        try:
            return self._carry(envelope.command_id, envelope.command)
        except CommandRejectedError as error:
            return self.settle(envelope.command_id, Outcome.REJECTED, error.reason, now_ms)

    def settle(
        self,
        command_id: UUID,
        outcome: Outcome,
        reason: str,
        now_ms: int,
        answer: bytes = b"",
    ) -> Effects:
        """Say how a command ended; the first word stands."""
        effects = Effects()
        entry = self._seen.get(command_id)
        if entry is None or entry.outcome is not None:
            return effects
        self._active.discard(command_id)
        entry.outcome, entry.reason, entry.answer = outcome, reason, answer
        effects.events.append(_settled(entry, now_ms))
        effects.changes.append(_stored(entry))
        return effects

    def forget_old(self, now_ms: int) -> Effects:
        """Drop ids that are older than a week: HQ repeats nothing that long."""
        effects = Effects()
        limit_ms = now_ms - int(_KEEP.total_seconds() * 1000)
        for command_id in [i for i, entry in self._seen.items() if entry.seen_ms < limit_ms]:
            del self._seen[command_id]
            effects.changes.append(Delete(KIND, str(command_id)))
        return effects


def _settled(entry: Seen, now_ms: int) -> CommandSettled:
    assert entry.outcome is not None
    return CommandSettled(
        occurred_at=from_ms(now_ms),
        command_id=entry.command_id,
        outcome=entry.outcome,
        reason=entry.reason,
        answer=entry.answer,
    )


def _stored(entry: Seen) -> Put:
    return Put(KIND, str(entry.command_id), msgspec.msgpack.encode(entry))
