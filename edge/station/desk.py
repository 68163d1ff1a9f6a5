"""The command desk: each command of HQ is carried out at most once, in time, or refused.

Ids are stored before anything is done, so that a command that comes again after a crash is
known; only a stop acts first, because stopping twice does no harm and waiting might.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from msgspec import Struct

from edge.journal import Change, Delete, Put
from edge.station.effects import Effects
from edge.station.stored import decode_all
from shared.clock import from_ms
from shared.contracts import commands as c
from shared.contracts.envelope import CommandEnvelope
from shared.contracts.events import CommandSettled
from shared.contracts.words import Outcome
from shared.errors import CommandRejectedError

KIND = "command"
_KEEP = timedelta(days=7)
_SEEN_MAX = 20_000
_ONCE = (c.RebootChargePoint, c.UpdateFirmware, c.SetBayLock)
"""Doing these twice would be felt."""
_STOPS = (c.EmergencyStop, c.StopTransaction)
"""These never expire."""


class Seen(Struct):
    """A command that came: settled how, or not yet."""

    command_id: UUID
    seen_ms: int
    outcome: Outcome | None = None
    reason: str = ""


Carry = Callable[[UUID, c.AnyCommand], Effects]
"""Carries a command out; settles it in its effects, or later through `CommandDesk.settle`."""


class CommandDesk:
    """Ids, expiry and outcomes of commands. What a command means is the core's business."""

    def __init__(self, stored: dict[str, bytes], carry: Carry) -> None:
        """Take what the journal holds under `KIND`."""
        seen = decode_all(stored, Seen).values()
        self._seen = {entry.command_id: entry for entry in seen}
        self._active: dict[UUID, datetime | None] = {}  # id -> when it expires
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
        self._active[envelope.command_id] = envelope.expires_at
        entry = known or Seen(envelope.command_id, now_ms)
        self._seen[envelope.command_id] = entry
        is_stop = isinstance(envelope.command, _STOPS)
        if self.is_late(entry.command_id, now_ms) and not is_stop:
            return self.settle(entry.command_id, Outcome.EXPIRED, "too_late", now_ms), False
        if known is not None and isinstance(envelope.command, _ONCE):
            # The agent died before it was settled: nobody knows whether it was carried out.
            return self.settle(entry.command_id, Outcome.FAILED, "interrupted", now_ms), False
        # Others find in the book what they did before, or may be done twice.
        effects.changes.append(_stored(entry))
        if is_stop:
            effects.add(self.carry_out(envelope, now_ms))
            return effects, False
        return effects, True

    def is_late(self, command_id: UUID, now_ms: int) -> bool:
        """Whether a command that is under way has expired."""
        expires_at = self._active.get(command_id)
        return expires_at is not None and expires_at <= from_ms(now_ms)

    def carry_out(self, envelope: CommandEnvelope, now_ms: int) -> Effects:
        """Do what a command says; a refusal becomes its outcome.

        Storing its id may have taken long, so it is looked at once more whether it is in time.
        """
        if self.is_late(envelope.command_id, now_ms) and not isinstance(envelope.command, _STOPS):
            return self.settle(envelope.command_id, Outcome.EXPIRED, "too_late", now_ms)
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
        self._active.pop(command_id, None)
        entry.outcome, entry.reason = outcome, reason
        effects.events.append(_settled(entry, now_ms, answer))
        if answer:
            # It only read something: that may be read again, and need not be kept.
            effects.changes.append(self._drop(command_id))
        else:
            effects.changes.append(_stored(entry))
        return effects

    def resume(self, command_id: UUID) -> None:
        """Take a command as under way that was so before a restart."""
        if command_id in self._seen:
            self._active[command_id] = None  # what it was to do has begun in time

    def forget(self, command_id: UUID) -> None:
        """Forget a command that could not be stored; nothing was done."""
        self._active.pop(command_id, None)
        self._seen.pop(command_id, None)

    def everything(self) -> list[Change]:
        """Return the stored form of all ids."""
        return [_stored(entry) for entry in self._seen.values()]

    def _drop(self, command_id: UUID) -> Change:
        del self._seen[command_id]
        return Delete(KIND, str(command_id))

    def forget_old(self, now_ms: int) -> Effects:
        """Drop ids that are older than a week, or too many: HQ repeats nothing that long."""
        effects = Effects()
        limit_ms = now_ms - int(_KEEP.total_seconds() * 1000)
        oldest_first = sorted(self._seen.values(), key=lambda entry: entry.seen_ms)
        surplus = len(oldest_first) - _SEEN_MAX
        for number, entry in enumerate(oldest_first):
            too_old = entry.seen_ms < limit_ms or number < surplus
            if too_old and entry.command_id not in self._active:
                effects.changes.append(self._drop(entry.command_id))
        return effects


def _settled(entry: Seen, now_ms: int, answer: bytes = b"") -> CommandSettled:
    assert entry.outcome is not None
    return CommandSettled(
        occurred_at=from_ms(now_ms),
        command_id=entry.command_id,
        outcome=entry.outcome,
        reason=entry.reason,
        answer=answer,
    )


def _stored(entry: Seen) -> Put:
    return Put(KIND, str(entry.command_id), msgspec.msgpack.encode(entry))
