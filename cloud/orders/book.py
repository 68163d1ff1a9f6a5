"""The orders that some facts are about: read together, worked out in memory, written together.

Each statement costs as much as working out an order does, and a station that was away sends
hundreds of facts at once. Whoever opens a book holds its stations' orders until the transaction
ends, so what it has read stays true.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from msgspec import msgpack
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from cloud.access import service as access
from cloud.access.service import Exposed
from cloud.billing import service as billing
from cloud.billing.models import Bill
from cloud.billing.rules import Rated
from cloud.ingest.handlers import Ingested
from cloud.orders.facts import Gathered, canonical, lock_orders, plain_text, read_fact
from cloud.orders.models import Fact, Order, Review
from cloud.orders.rules import (
    EndRole,
    Known,
    OrderState,
    begins_after,
    end_role,
    is_same_transaction,
)
from cloud.tariffs import service as tariffs
from shared.clock import to_ms
from shared.contracts.events import (
    CommandSettled,
    Event,
    Record,
    TransactionEnded,
    TransactionEvent,
)
from shared.ids import uuid7
from shared.tariff import Tariff

_encoder = msgpack.Encoder(order="deterministic")

Items = Sequence[tuple[Ingested, TransactionEvent | CommandSettled]]


class Story:
    """All that is known of one order: its facts, its bill, and what is to be decided about it."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.bill: Bill | None = None
        self.review: Review | None = None
        self._gathered = Gathered()
        self._digests: set[bytes] = set()

    def known(self) -> Known:
        """Return it in a form that does not depend on arrival; it changes with the next fact."""
        return self._gathered.known(cancelled=self.order.cancelled_at is not None)

    def recall(self, fact: Fact) -> None:
        """Take in a fact that is stored."""
        self._take(fact, read_fact(fact))

    def hear(self, event: Event, *, now: datetime) -> Fact | None:
        """Take in a fact and return it as a row; None if it is known already."""
        role = None
        if isinstance(event, TransactionEnded):
            role = end_role(event, stands=self.known().record)
            if role is EndRole.REPEAT:
                return None
        body = _encoder.encode(event)
        fact = Fact(
            id=uuid7(to_ms(now)),
            operator_id=self.order.operator_id,
            order_id=self.order.id,
            kind=type(event).__name__,
            role=role,
            digest=hashlib.sha256(body).digest(),
            occurred_at=event.occurred_at,
            received_at=now,
            body=body,
        )
        return fact if self._take(fact, event) else None

    def _take(self, fact: Fact, event: Event) -> bool:
        if fact.digest in self._digests:
            return False
        self._digests.add(fact.digest)
        self._gathered.add(canonical(fact), event, fact.role)
        return True


class Book:
    """Stories of orders, and what has changed in them; `open_book` makes one."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session
        self._stories: dict[UUID, Story] = {}
        self._by_transaction: dict[tuple[UUID, UUID], Story] = {}
        self._by_number: dict[tuple[UUID, str], list[Story]] = defaultdict(list)
        self._by_command: dict[tuple[UUID, UUID], Story] = {}
        self._tariffs: dict[tuple[UUID, UUID | None], Tariff | None] = {}
        self._facts: list[Fact] = []
        self._bills: list[tuple[Bill, Rated]] = []
        self._reviews: list[Review] = []
        self._exposed: dict[UUID, Exposed] = {}

    async def read(self, items: Items) -> None:
        """Read all that these facts may touch; their stations' orders are locked."""
        rows = await self.session.scalars(_wanted(items).execution_options(populate_existing=True))
        for order in rows:
            self._stories[order.id] = story = Story(order)
            self._index(story)
        if not self._stories:
            return
        ids = list(self._stories)
        for fact in await self.session.scalars(select(Fact).where(_one_of(Fact.order_id, ids))):
            self._stories[fact.order_id].recall(fact)
        if not any(isinstance(event, TransactionEnded) for _, event in items):
            return
        for order_id, bill in (await billing.current_bills(self.session, ids)).items():
            self._stories[order_id].bill = bill
        reviews = select(Review).where(
            _one_of(Review.order_id, ids), col(Review.decided_at).is_(None)
        )
        for review in await self.session.scalars(reviews):
            self._stories[review.order_id].review = review

    def by_command(self, context: Ingested, command_id: UUID) -> Story | None:
        """Return the order that a command was to start, None if it was another command."""
        return self._by_command.get((context.station_id, command_id))

    def find_or_make(self, context: Ingested, event: TransactionEvent) -> Story:
        """Return the order of a transaction: by order id, transaction id, transaction number.

        A transaction that nobody announced makes an order of its own.
        """
        story = self._by_order_id(context, event)
        story = story or self._by_transaction.get((context.station_id, event.transaction_id))
        reused = False
        if story is None:
            story, reused = self._by_transaction_no(context, event)
        if story is None:
            story = self._make(context, event, reused=reused)
        if story.order.transaction_id is None:
            story.order.transaction_id = event.transaction_id
            story.order.transaction_no = plain_text(event.transaction_no)
            self._index(story)
        return story

    async def tariff(self, station_id: UUID, version_id: UUID | None) -> Tariff | None:
        """Return what a version of a station charges, None if the station has no such one."""
        key = (station_id, version_id)
        if key not in self._tariffs:
            version = await tariffs.find_version(
                self.session, station_id=station_id, tariff_version_id=version_id
            )
            self._tariffs[key] = None if version is None else tariffs.tariff_of(version)
        return self._tariffs[key]

    def add_fact(self, fact: Fact) -> None:
        """Have a fact written."""
        self._facts.append(fact)

    def add_bill(self, story: Story, bill: Bill, rated: Rated) -> None:
        """Have the next version of an order's bill written."""
        story.bill = bill
        self._bills.append((bill, rated))

    def add_review(self, story: Story, review: Review) -> None:
        """Have a new entry of the queue written."""
        story.review = review
        self._reviews.append(review)

    def expose(self, exposed: Exposed | None) -> None:
        """Have written what an order may still cost its token; the last word holds."""
        if exposed is not None:
            self._exposed[exposed.order_id] = exposed

    async def write(self) -> None:
        """Write what has changed, once; orders first, because all else refers to them."""
        self.session.add_all(story.order for story in self._stories.values())
        await self.session.flush()
        if self._facts:
            rows = [{name: getattr(fact, name) for name in _FACT} for fact in self._facts]
            # With rows of one shape all are one statement.
            await self.session.execute(sa.insert(Fact).execution_options(render_nulls=True), rows)
        # After the flush has closed old ones: an order has one open entry at most.
        self.session.add_all(self._reviews)
        await billing.write_rated(self.session, self._bills)
        await self.session.flush()
        await access.set_exposures(self.session, self._exposed.values())

    def _index(self, story: Story) -> None:
        order = story.order
        if order.transaction_id is not None:
            self._by_transaction[order.station_id, order.transaction_id] = story
        if order.start_command_id is not None:
            self._by_command[order.station_id, order.start_command_id] = story
        self._by_number[order.station_id, order.transaction_no].append(story)

    def _by_order_id(self, context: Ingested, event: TransactionEvent) -> Story | None:
        story = None if event.order_id is None else self._stories.get(event.order_id)
        if story is None or story.order.station_id != context.station_id:
            return None
        # One wish may have started two transactions; only the first of them is this order.
        return story if story.order.transaction_id in {None, event.transaction_id} else None

    def _by_transaction_no(
        self, context: Ingested, event: TransactionEvent
    ) -> tuple[Story | None, bool]:
        """Return the order under the same number, and whether the number was used by another.

        A station that lost its disk gives a transaction that HQ knows a new id; its number stays.
        """
        number = plain_text(event.transaction_no)
        connector = (number, event.charge_point_no, event.connector_no)
        candidates = [
            story
            for story in self._by_number.get((context.station_id, number), ())
            if _connector_of(story.order) == connector
        ]
        record = event.record if isinstance(event, TransactionEnded) else None
        for story in sorted(candidates, key=lambda story: story.order.id, reverse=True):
            if _is_of(record, story.known()):
                return story, False
        return None, bool(candidates)

    def _make(self, context: Ingested, event: TransactionEvent, *, reused: bool) -> Story:
        order_id = event.order_id
        if order_id is None or order_id in self._stories:
            order_id = uuid7(to_ms(context.received_at))
        order = Order(
            id=order_id,
            operator_id=context.operator_id,
            station_id=context.station_id,
            transaction_id=event.transaction_id,
            transaction_no=plain_text(event.transaction_no),
            charge_point_no=event.charge_point_no,
            connector_no=event.connector_no,
            state=OrderState.REQUESTED,
            created_at=context.received_at,
            updated_at=context.received_at,
            flags=["transaction_no_reused"] if reused else [],
        )
        self.session.add(order)
        self._stories[order.id] = story = Story(order)
        self._index(story)
        return story


_FACT = tuple(Fact.model_fields)


async def open_book(session: AsyncSession, items: Items) -> Book:
    """Lock the orders of all stations that these facts are of, and read what they touch."""
    await session.flush()
    await lock_orders(session, *{context.station_id for context, _ in items})
    book = Book(session)
    await book.read(items)
    return book


def _wanted(items: Items) -> Any:
    told = [event for _, event in items if not isinstance(event, CommandSettled)]
    commands = [event.command_id for _, event in items if isinstance(event, CommandSettled)]
    stations = list({context.station_id for context, _ in items})
    operators = list({context.operator_id for context, _ in items})
    ids = [event.order_id for event in told if event.order_id is not None]
    numbers = list({plain_text(event.transaction_no) for event in told})
    of_station = sa.and_(
        _one_of(Order.operator_id, operators),
        _one_of(Order.station_id, stations),
        sa.or_(
            _one_of(Order.transaction_id, [event.transaction_id for event in told]),
            col(Order.transaction_no) == sa.any_(sa.literal(numbers, sa.ARRAY(sa.Text))),
        ),
    )
    wanted = [of_station] if told else []
    if ids:
        wanted.append(_one_of(Order.id, ids))
    if commands:
        wanted.append(_one_of(Order.start_command_id, commands))
    return select(Order).where(sa.or_(*wanted))


def _one_of(column: Any, ids: Collection[UUID]) -> sa.ColumnElement[bool]:
    # An array, unlike IN, is the same statement for any number of values.
    return col(column) == sa.any_(sa.literal(list(ids), sa.ARRAY(sa.Uuid)))


def _is_of(record: Record | None, known: Known) -> bool:
    """Whether what came under an order's number is of its transaction."""
    if known.record is not None:
        return is_same_transaction(record, known.record.record)
    return known.estimate is None or not begins_after(record, known.estimate)


def _connector_of(order: Order) -> tuple[str, str, int]:
    return order.transaction_no, order.charge_point_no, order.connector_no
