"""Batches that were set aside: looking at them, and handling them once the cause is mended."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from msgspec import json
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from cloud.core.errors import BusinessError, NotFoundError
from cloud.ingest.events import dispatch_all
from cloud.ingest.handlers import Handler, Ingested
from cloud.ingest.models import Parked
from shared.contracts.envelope import unpack_events
from shared.contracts.events import Event
from shared.contracts.topics import Lane
from shared.errors import MalformedContractError


class ParkedNotFoundError(NotFoundError):
    """No such parked batch."""

    code = "parked_not_found"


class NoFactsError(BusinessError):
    """The batch holds nothing that can be handled: samples, or bytes that are no facts."""

    code = "no_facts"


async def list_parked(session: AsyncSession, *, limit: int = 200) -> Sequence[Parked]:
    """Return the batches that wait, oldest first."""
    return (await session.scalars(select(Parked).order_by(col(Parked.id)).limit(limit))).all()


async def find_parked(session: AsyncSession, parked_id: UUID) -> Parked:
    """Return a batch that nobody else changes until the transaction ends.

    Raises:
        ParkedNotFoundError: There is none.
    """
    found = await session.get(Parked, parked_id, with_for_update=True)
    if found is None:
        raise ParkedNotFoundError(f"no parked batch {parked_id}")
    return found


def facts_as_json(parked: Parked) -> bytes:
    """Return the facts of a parked batch as a JSON list, for people.

    Raises:
        NoFactsError: It holds none.
    """
    return json.encode(_facts(parked))


async def retry(
    session: AsyncSession,
    parked: Parked,
    *,
    handlers: dict[type[Event], tuple[Handler, ...]],
    context: Ingested,
) -> int:
    """Handle all facts of a parked batch and forget it; returns how many there were.

    What a handler raises is raised here: roll back, and the batch stays as it was.

    Raises:
        NoFactsError: It holds none.
    """
    events = _facts(parked)
    await dispatch_all(handlers, session, [(context, event) for event in events])
    await session.delete(parked)
    await session.flush()
    return len(events)


def _facts(parked: Parked) -> list[Event]:
    if parked.lane == Lane.TELEMETRY:
        raise NoFactsError("samples are kept as they came, and are no facts", lane=parked.lane)
    try:
        return list(unpack_events(parked.body))
    except MalformedContractError as error:
        raise NoFactsError(f"the batch cannot be read: {error}", lane=parked.lane) from error
