"""Fetching the raw frames that a bill refers to from the station's frame log, by command."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import timedelta
from uuid import UUID

import msgspec

from cloud.core.commands import CommandRow, enqueue_command, find_command
from cloud.core.db import Sessions
from cloud.orders.explain import Explanation, FetchedFrames
from cloud.stations import lookup
from shared.clock import Clock
from shared.contracts.commands import FetchFrames
from shared.contracts.words import Outcome

_POLL_S = 0.1
FETCHES_MAX = 20
"""Pieces of the frame log asked for at once; an order has three as a rule."""


async def fetch_frames(
    sessions: Sessions, clock: Clock, explanation: Explanation, *, timeout_s: float = 10.0
) -> None:
    """Fill in the frames of an explanation, as far as the station answers within the time.

    Uses transactions of its own: the commands must be committed before anybody can answer them.
    """
    if not explanation.frames:
        return
    command_ids = await _ask(sessions, clock, explanation, timeout_s)
    if not command_ids:
        explanation.frames = [_with(f, status="unreachable") for f in explanation.frames]
        return
    rows = await _wait(sessions, clock, command_ids, timeout_s)
    explanation.frames = [
        _taken(reference, rows.get(command_id))
        for reference, command_id in zip(explanation.frames, command_ids, strict=False)
    ] + explanation.frames[FETCHES_MAX:]


async def _ask(
    sessions: Sessions, clock: Clock, explanation: Explanation, timeout_s: float
) -> list[UUID]:
    now = clock.now()
    async with sessions() as session, session.begin():
        station = await lookup.station_by_id(
            session, explanation.operator_id, explanation.station_id
        )
        if not station.online:
            return []
        return [
            await enqueue_command(
                session,
                explanation.station_id,
                FetchFrames(file=each.file, first_line=each.first_line, last_line=each.last_line),
                expires_at=now + timedelta(seconds=timeout_s),
                now=now,
            )
            for each in explanation.frames[:FETCHES_MAX]
        ]


async def _wait(
    sessions: Sessions, clock: Clock, command_ids: list[UUID], timeout_s: float
) -> dict[UUID, CommandRow]:
    """Return the settled commands; what is not settled in time is left out."""
    settled: dict[UUID, CommandRow] = {}
    until_s = clock.monotonic_s() + timeout_s
    while True:
        async with sessions() as session:
            for command_id in set(command_ids) - set(settled):
                row = await find_command(session, command_id)
                if row is not None and row.settled_at is not None:
                    settled[command_id] = row
        if len(settled) == len(command_ids) or clock.monotonic_s() >= until_s:
            return settled
        await asyncio.sleep(_POLL_S)


def _taken(reference: FetchedFrames, row: CommandRow | None) -> FetchedFrames:
    if row is None or row.outcome is Outcome.EXPIRED:
        return _with(reference, status="unreachable")
    if row.outcome is not Outcome.DONE:
        return _with(reference, status="failed")
    same = hashlib.sha256(row.answer).hexdigest() == reference.sha256
    lines = row.answer.decode("utf-8", "replace").splitlines()
    return _with(reference, status="fetched" if same else "changed", lines=lines)


def _with(
    reference: FetchedFrames, *, status: str, lines: list[str] | None = None
) -> FetchedFrames:
    return msgspec.structs.replace(reference, status=status, lines=lines or [])
