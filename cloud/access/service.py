"""What can be done with tokens. Functions take an open transaction and do not commit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, delete, func, select

from cloud.access.lists import publish_lists
from cloud.access.models import AccessToken, Exposure, Reservation, Scope
from cloud.access.rules import NO_LIMIT, SHAPES, Decision, decide, is_barred
from cloud.core.errors import BusinessError, NotFoundError
from shared.clock import to_ms
from shared.contracts.events import Token
from shared.contracts.words import TokenKind
from shared.ids import uuid7
from shared.tokens import normalise

RESERVED_FOR = timedelta(seconds=10)
"""A station that was allowed a start reports it at once; a short time then covers the way."""
Place = tuple[UUID, str, int]
"""A connector: its station, charge point number and connector number."""


class TokenNotFoundError(NotFoundError):
    """No such token."""

    code = "token_not_found"


class TokenExistsError(BusinessError):
    """There is such a token already."""

    code = "token_exists"


class InvalidTokenError(BusinessError):
    """A value that no such token can have."""

    status = 400
    code = "invalid_token"


async def create_token(
    session: AsyncSession,
    *,
    operator_id: UUID,
    kind: TokenKind,
    value: str,
    station_ids: Collection[UUID] = (),
    now: datetime,
    publish: bool = True,
    **fields: Any,
) -> AccessToken:
    """Make a token and tell the stations where it holds.

    Args:
        session: An open transaction.
        operator_id: Whose.
        kind: Card, VIN or account.
        value: Physical card number (16 hex digits), VIN or account.
        station_ids: Where it holds; none = everywhere.
        now: HQ's time.
        publish: False when many are made and the caller publishes once.
        fields: The other columns: `limit_fen`, `expires_at`, `frozen` …

    Raises:
        InvalidTokenError: The value does not look like such a token.
        TokenExistsError: There is one already.
    """
    value = normalise(kind, value)
    if not SHAPES[kind].match(value):
        raise InvalidTokenError(f"not a {kind} number: {value!r}", field="value")
    if await _exists(session, operator_id=operator_id, token=Token(kind, value)):
        raise TokenExistsError(f"there is a {kind} {value} already")
    token = AccessToken(
        id=uuid7(to_ms(now)),
        operator_id=operator_id,
        kind=kind,
        value=value,
        created_at=now,
        updated_at=now,
        **fields,
    )
    session.add(token)
    await session.flush()
    await _set_scope(session, token, station_ids)
    if publish:
        await publish_lists(session, operator_id=operator_id, now=now)
    return token


async def change_token(
    session: AsyncSession,
    *,
    operator_id: UUID,
    token_id: UUID,
    station_ids: Collection[UUID] | None = None,
    now: datetime,
    **changes: Any,
) -> AccessToken:
    """Change a token's limit, expiry, freeze or scope, and tell the stations.

    Raises:
        TokenNotFoundError: No such token.
    """
    token = await token_by_id(session, operator_id=operator_id, token_id=token_id)
    for name, value in changes.items():
        setattr(token, name, value)
    token.updated_at = now
    session.add(token)
    if station_ids is not None:
        await _set_scope(session, token, station_ids)
    await session.flush()
    await publish_lists(session, operator_id=operator_id, now=now)
    return token


async def token_by_id(session: AsyncSession, *, operator_id: UUID, token_id: UUID) -> AccessToken:
    """Return a token. Raises TokenNotFoundError."""
    token = await session.get(AccessToken, token_id)
    if token is None or token.operator_id != operator_id:
        raise TokenNotFoundError(f"no token {token_id}")
    return token


async def find_token(
    session: AsyncSession, *, operator_id: UUID, token: Token
) -> AccessToken | None:
    """Return a token by what a charge point says of it; a card also by its logical number."""
    value = normalise(token.kind, token.value)
    mine = select(AccessToken).where(
        AccessToken.operator_id == operator_id, AccessToken.kind == token.kind
    )
    found: AccessToken | None = await session.scalar(mine.where(AccessToken.value == value))
    if found is None and token.kind is TokenKind.CARD and value:
        by_logical = await session.scalars(
            mine.where(AccessToken.logical_card_no == value).limit(2)
        )
        cards = by_logical.all()
        # Nothing keeps two cards from the same logical number: then it names neither.
        found = cards[0] if len(cards) == 1 else None
    return found


async def _exists(session: AsyncSession, *, operator_id: UUID, token: Token) -> bool:
    found = await session.scalar(
        select(AccessToken.id).where(
            AccessToken.operator_id == operator_id,
            AccessToken.kind == token.kind,
            AccessToken.value == token.value,
        )
    )
    return found is not None


def has_value(value: str) -> sa.ColumnElement[bool]:
    """Return the condition that finds tokens by what somebody typed, of whatever kind."""
    forms = {kind: normalise(kind, value) for kind in TokenKind}
    return sa.or_(
        *(
            sa.and_(col(AccessToken.kind) == kind, col(AccessToken.value) == form)
            for kind, form in forms.items()
        )
    )


async def authorize(
    session: AsyncSession, *, operator_id: UUID, station_id: UUID, token: Token, now: datetime
) -> tuple[Decision, AccessToken | None]:
    """Decide whether a token may charge at a station now, and for how much.

    The token stays locked until the transaction ends: whoever is next, at whatever station, sees
    what the caller notes of this start (`reserve`, or an order's exposure).
    """
    found = await find_token(session, operator_id=operator_id, token=token)
    if found is not None:
        await session.refresh(found, with_for_update=True)
        token = Token(found.kind, found.value)
    scope = set() if found is None else await scope_of(session, found.id)
    exposure_fen = await exposure_of(session, operator_id=operator_id, token=token)
    exposure_fen += await _reserved(session, operator_id=operator_id, token=token, now=now)
    decision = decide(
        found,
        kind=token.kind,
        allowed_here=not scope or station_id in scope,
        exposure_fen=exposure_fen,
        now=now,
    )
    return decision, found


async def left_for(
    session: AsyncSession,
    *,
    operator_id: UUID,
    token: Token,
    place: Place,
    beside_fen: int,
    now: datetime,
) -> int | None:
    """Return what a running order of a token may cost at most, None without a limit.

    Of a token that may start nothing, frozen or expired, no more than it is counted at now.

    Args:
        session: An open transaction; the token stays locked until it ends.
        operator_id: Whose token.
        token: Who pays.
        place: Where it runs; what was allowed there became that order.
        beside_fen: What that order is counted at now, which gives way.
        now: HQ's time.
    """
    found = await find_token(session, operator_id=operator_id, token=token)
    if found is None:
        return None
    await session.refresh(found, with_for_update=True)
    # An order that is without limit already cannot be raised.
    barred = beside_fen != NO_LIMIT and is_barred(found, now)
    if found.limit_fen == NO_LIMIT:
        return beside_fen if barred else None
    exposure_fen = await exposure_of(session, operator_id=operator_id, token=token)
    exposure_fen += await _reserved(
        session, operator_id=operator_id, token=token, now=now, but_at=place
    )
    left_fen = found.limit_fen - exposure_fen + beside_fen
    return min(left_fen, beside_fen) if barred else left_fen


async def reserve(
    session: AsyncSession,
    *,
    operator_id: UUID,
    station_id: UUID,
    connector: tuple[str, int],
    token: Token,
    amount_fen: int,
    now: datetime,
) -> None:
    """Count what was just allowed at a connector until the station reports the start.

    Args:
        session: An open transaction.
        operator_id: Whose token.
        station_id: Who asked.
        connector: Charge point number and connector number.
        token: Who may charge.
        amount_fen: For how much.
        now: HQ's time.
    """
    values = {
        "operator_id": operator_id,
        "kind": token.kind,
        "value": normalise(token.kind, token.value),
        "amount_fen": amount_fen,
        "expires_at": now + RESERVED_FOR,
    }
    place = {
        "station_id": station_id,
        "charge_point_no": connector[0],
        "connector_no": connector[1],
    }
    await session.execute(
        insert(Reservation)
        .values(**place, **values)
        .on_conflict_do_update(index_elements=list(place), set_=values)
    )


async def release(session: AsyncSession, *, station_id: UUID, connector: tuple[str, int]) -> None:
    """Forget what was allowed at a connector: it asks again, so nothing came of it."""
    await session.execute(
        delete(Reservation).where(
            col(Reservation.station_id) == station_id,
            col(Reservation.charge_point_no) == connector[0],
            col(Reservation.connector_no) == connector[1],
        )
    )


async def _reserved(
    session: AsyncSession,
    *,
    operator_id: UUID,
    token: Token,
    now: datetime,
    but_at: Place | None = None,
) -> int:
    statement = select(func.sum(Reservation.amount_fen)).where(
        Reservation.operator_id == operator_id,
        Reservation.kind == token.kind,
        Reservation.value == normalise(token.kind, token.value),
        Reservation.expires_at > now,
    )
    if but_at is not None:
        where = (Reservation.station_id, Reservation.charge_point_no, Reservation.connector_no)
        statement = statement.where(sa.tuple_(*where) != but_at)
    return int(await session.scalar(statement) or 0)


async def exposure_of(session: AsyncSession, *, operator_id: UUID, token: Token) -> int:
    """Return what a token's open and unsettled orders may still cost, in fen."""
    total = await session.scalar(
        select(func.sum(Exposure.amount_fen)).where(
            Exposure.operator_id == operator_id,
            Exposure.kind == token.kind,
            Exposure.value == normalise(token.kind, token.value),
        )
    )
    return int(total or 0)


class Exposed(NamedTuple):
    """What an order may still cost its token; 0 once it is settled."""

    operator_id: UUID
    station_id: UUID
    order_id: UUID
    token: Token
    amount_fen: int
    is_open: bool
    """Whether its station has it open; not so once it is estimated or in review."""


async def set_exposures(session: AsyncSession, exposed: Collection[Exposed]) -> None:
    """Note what orders, each named once, may still cost their tokens. Called by orders."""
    settled = [each.order_id for each in exposed if each.amount_fen <= 0]
    if settled:
        wanted = col(Exposure.order_id) == sa.any_(sa.literal(settled, sa.ARRAY(sa.Uuid)))
        await session.execute(
            delete(Exposure).where(wanted), execution_options={"synchronize_session": False}
        )
    rows = [
        {
            "order_id": each.order_id,
            "operator_id": each.operator_id,
            "station_id": each.station_id,
            "kind": each.token.kind,
            "value": normalise(each.token.kind, each.token.value),
            "amount_fen": each.amount_fen,
            "is_open": each.is_open,
        }
        for each in exposed
        if each.amount_fen > 0
    ]
    if rows:
        write = insert(Exposure.__table__)  # type: ignore[attr-defined]
        changed = {
            name: write.excluded[name] for name in ("kind", "value", "amount_fen", "is_open")
        }
        await session.execute(
            write.on_conflict_do_update(index_elements=["order_id"], set_=changed), rows
        )


async def scope_of(session: AsyncSession, token_id: UUID) -> set[UUID]:
    """Return the stations of a token's scope; empty means all."""
    return set(
        (await session.scalars(select(Scope.station_id).where(Scope.token_id == token_id))).all()
    )


async def scopes_of(session: AsyncSession, token_ids: Collection[UUID]) -> Mapping[UUID, set[UUID]]:
    """Return the stations of many tokens' scopes; a token that holds everywhere has none."""
    rows = await session.execute(
        select(Scope.token_id, Scope.station_id).where(
            col(Scope.token_id) == sa.any_(sa.literal(list(token_ids), sa.ARRAY(sa.Uuid)))
        )
    )
    scopes: dict[UUID, set[UUID]] = defaultdict(set)
    for token_id, station_id in rows:
        scopes[token_id].add(station_id)
    return scopes


async def exposures_of(
    session: AsyncSession, *, operator_id: UUID, values: Collection[str]
) -> Mapping[tuple[str, str], int]:
    """Return what the tokens of these values may still cost, in fen; those without are left out."""
    rows = await session.execute(
        select(Exposure.kind, Exposure.value, func.sum(Exposure.amount_fen))
        .where(Exposure.operator_id == operator_id, col(Exposure.value).in_(values))
        .group_by(col(Exposure.kind), col(Exposure.value))
    )
    return {(kind, value): int(amount) for kind, value, amount in rows}


async def _set_scope(
    session: AsyncSession, token: AccessToken, station_ids: Collection[UUID]
) -> None:
    await session.execute(delete(Scope).where(col(Scope.token_id) == token.id))
    for station_id in sorted(set(station_ids)):
        session.add(Scope(token_id=token.id, station_id=station_id, operator_id=token.operator_id))
    await session.flush()
