"""Store-and-forward under lost answers, crashes and failing disks: nothing lost, nothing twice."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from edge.journal import Delete, Journal, Put
from edge.journal.store import LANES
from shared.clock import SystemClock
from shared.contracts.envelope import unpack_events
from shared.contracts.events import (
    AlarmCleared,
    AnyEvent,
    ChargePointLost,
    TransactionStartFailed,
)
from shared.contracts.topics import Lane

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def make_fact(lane: Lane, number: int) -> AnyEvent:
    if lane is Lane.ALARM:
        return AlarmCleared(occurred_at=NOW, alarm_id=UUID(int=number), code="c", object="o")
    if lane is Lane.BILL:
        return TransactionStartFailed(
            occurred_at=NOW,
            transaction_id=UUID(int=number),
            transaction_no=str(number),
            charge_point_no="1",
            connector_no=1,
            reason="r",
        )
    return ChargePointLost(occurred_at=NOW, charge_point_no=str(number), reason="silence")


class StoreAndForward(RuleBasedStateMachine):
    """A station whose HQ remembers what arrived, and a small model of what it must hold."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.new_event_loop()
        self._root = Path(tempfile.mkdtemp(prefix="journal-"))
        self._folder_no = 0
        self._number = 0
        self._written: dict[Lane, list[AnyEvent]] = {lane: [] for lane in LANES}
        self._arrived: dict[tuple[Lane, int], bytes] = {}
        self._state: dict[str, bytes] = {}

    @initialize()
    def open(self) -> None:
        self._journal = self._open()
        self._epoch = self._journal.epoch

    def _open(self) -> Journal:
        folder = self._root / str(self._folder_no)
        folder.mkdir(exist_ok=True)
        return Journal.open(folder / "station.db", SystemClock(), self._loop)

    @rule(
        lanes=st.lists(st.sampled_from(LANES), min_size=1, max_size=5),
        key=st.sampled_from("abc"),
        blob=st.none() | st.binary(max_size=8),
        calls=st.integers(1, 3),
    )
    def append(self, lanes: list[Lane], key: str, blob: bytes | None, calls: int) -> None:
        commits = []
        for _ in range(calls):
            facts = [make_fact(lane, self._number + n) for n, lane in enumerate(lanes)]
            self._number += len(facts)
            for fact in facts:
                self._written[fact.lane].append(fact)
            change = Delete("kind", key) if blob is None else Put("kind", key, blob)
            commits.append(self._journal.commit(facts, [change]))
        if blob is None:
            self._state.pop(key, None)
        else:
            self._state[key] = blob
        assert all(self._loop.run_until_complete(_all(commits)))

    @rule(lane=st.sampled_from(LANES), answer_lost=st.booleans())
    def send(self, lane: Lane, answer_lost: bool) -> None:
        batch = self._journal.head(lane)
        if batch is None:
            return
        # HQ may see a batch twice; it must then be the same batch.
        assert self._arrived.setdefault((lane, batch.seq), batch.body) == batch.body
        if not answer_lost:
            self._journal.acknowledge(lane, [batch.seq])
            self._loop.run_until_complete(self._settle())

    @rule(lane=st.sampled_from(LANES), seq=st.integers(0, 50))
    def acknowledge_something_else(self, lane: Lane, seq: int) -> None:
        head = self._journal.head(lane)
        if head is None or head.seq != seq:
            self._journal.acknowledge(lane, [seq])
            self._loop.run_until_complete(self._settle())

    @rule()
    def crash(self) -> None:
        # The files as they are now are what a crash leaves; the old process goes on without them.
        before = self._root / str(self._folder_no)
        self._folder_no += 1
        shutil.copytree(before, self._root / str(self._folder_no))
        self._loop.run_until_complete(self._journal.close())
        self._journal = self._open()
        assert not self._journal.clean
        self._check_reopened()

    @rule()
    def restart(self) -> None:
        self._loop.run_until_complete(self._journal.close())
        self._journal = self._open()
        assert self._journal.clean
        self._check_reopened()

    def _check_reopened(self) -> None:
        assert self._journal.recovered is None
        assert self._journal.epoch == self._epoch
        assert self._journal.load("kind") == self._state

    async def _settle(self) -> None:
        # A commit behind it has been answered, so everything in front of it has been written.
        assert await self._journal.commit([])

    @invariant()
    def nothing_is_lost_and_order_is_kept(self) -> None:
        if not hasattr(self, "_journal"):
            return
        for lane in LANES:
            arrived = [
                fact
                for (its_lane, _), body in sorted(self._arrived.items(), key=lambda kv: kv[0][1])
                if its_lane is lane
                for fact in unpack_events(body)
            ]
            assert arrived == self._written[lane][: len(arrived)]
            head = self._journal.head(lane)
            held = self._journal.unacknowledged[lane]
            seen = head is not None and (lane, head.seq) in self._arrived
            in_both = head.count if head is not None and seen else 0
            assert len(arrived) - in_both + held == len(self._written[lane])

    def teardown(self) -> None:
        self._loop.run_until_complete(self._journal.close())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()
        shutil.rmtree(self._root)


async def _all(commits: list[object]) -> list[bool]:
    return await asyncio.gather(*commits)  # type: ignore[call-overload,no-any-return]


TestStoreAndForward = StoreAndForward.TestCase
TestStoreAndForward.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, derandomize=True
)
