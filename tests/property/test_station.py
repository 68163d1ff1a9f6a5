"""Any order of reports, crashes and waiting: every transaction is billed once, none is lost.

The model is a set of charge points that keep their records until they are confirmed, as real
ones do; it knows nothing of how the station works.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import tempfile
import threading
from pathlib import Path
from typing import Any
from uuid import UUID

import hypothesis.strategies as st
import msgspec
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from edge.devices.chargers import wishes as w
from edge.journal.store import Store
from edge.station.open_transaction import ClosedTransaction
from shared.clock import from_ms
from shared.contracts import events as e
from shared.contracts.words import EndKind
from tests.fakes.station_site import CP, Site

CONNECTORS = st.sampled_from((1, 2))
_FINAL = (EndKind.RECORD, EndKind.CORRECTED)


class Charge:
    """One transaction as its charge point knows it."""

    def __init__(self, number: str, connector_no: int, started_ms: int) -> None:
        self.number = number
        self.connector_no = connector_no
        self.started_ms = started_ms
        self.energy_dwh = 0
        self.running = True
        self.minutes = 0
        self.confirmed = False


class StationLife(RuleBasedStateMachine):
    """A station, one charge point, and a disk that keeps only what was committed."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.new_event_loop()
        self._root = Path(tempfile.mkdtemp(prefix="station-"))
        self._charges: dict[str, Charge] = {}
        self._on: dict[int, Charge | None] = {1: None, 2: None}
        self._tokens: dict[int, Charge] = {}
        self._own_no = 0
        self._disk = threading.Event()
        self._disk.set()
        self._apply = Store.apply
        Store.apply = self._slowly()  # type: ignore[method-assign]

    def _run(self, coroutine: Any) -> Any:
        return self._loop.run_until_complete(coroutine)

    def _slowly(self) -> Any:
        apply, disk = self._apply, self._disk

        def wait_and_apply(store: Store, works: Any, now_ms: int) -> Any:
            disk.wait()
            return apply(store, works, now_ms)

        return wait_and_apply

    def _settle(self) -> None:
        """Wait for the disk, unless it is the disk that makes us wait."""
        self._run(self.site.settle() if self._disk.is_set() else asyncio.sleep(0))

    @initialize()
    def begin(self) -> None:
        self.site = self._run(Site.make(self._root))
        self._listen()

    def _listen(self) -> None:
        self.site.points.on_wish = self._take_wish
        self.site.points.on_confirm = self._take_confirm

    def _stored(self, kind: str, key: str) -> bytes | None:
        with sqlite3.connect(self.site._folder() / "station.db") as db:
            query = "SELECT blob FROM state WHERE kind = ? AND key = ?"
            row = db.execute(query, (kind, key)).fetchone()
        return row[0] if row else None

    def _take_wish(self, wish: w.AnyWish) -> None:
        if isinstance(wish, w.AnswerStart) and wish.accepted:
            assert self._stored("transaction", wish.transaction_no) is not None
            charge = Charge(wish.transaction_no, wish.connector_no, self.site.clock.now_ms())
            self._begin(charge)

    def _begin(self, charge: Charge) -> None:
        before = self._on[charge.connector_no]
        if before is not None:
            self._stop(before)
        self._charges[charge.number] = charge
        self._on[charge.connector_no] = charge

    def _stop(self, charge: Charge) -> None:
        charge.running = False
        charge.minutes = (self.site.clock.now_ms() - charge.started_ms) // 60_000
        self._on[charge.connector_no] = None

    def _take_confirm(self, charge_point_no: str, token: int) -> None:
        charge = self._tokens[token]
        blob = self._stored("closed", charge.number)
        assert blob is not None
        assert msgspec.msgpack.decode(blob, type=ClosedTransaction).record_sha256
        charge.confirmed = True

    # What happens

    @rule(connector_no=CONNECTORS)
    def swipe(self, connector_no: int) -> None:
        if self._on[connector_no] is None:
            self.site.ask(connector_no=connector_no)
            self._settle()

    @rule(connector_no=CONNECTORS)
    def start_offline(self, connector_no: int) -> None:
        if self._on[connector_no] is None:
            self._own_no += 1
            number = f"{self._own_no:032d}"
            self._begin(Charge(number, connector_no, self.site.clock.now_ms()))

    @rule(connector_no=CONNECTORS, energy_dwh=st.integers(0, 400))
    def sample(self, connector_no: int, energy_dwh: int) -> None:
        charge = self._on[connector_no]
        self.site.clock.advance(15)
        if charge is None:
            self.site.sample(connector_no=connector_no, plugged_in=True)
            return
        charge.energy_dwh += energy_dwh
        self.site.charging(charge.number, charge.energy_dwh, connector_no=connector_no)

    @rule(connector_no=CONNECTORS)
    def stop(self, connector_no: int) -> None:
        if charge := self._on[connector_no]:
            self._stop(charge)

    @rule(settled=st.booleans())
    def send_records(self, settled: bool) -> None:
        for charge in self._charges.values():
            if not charge.running and not charge.confirmed:
                token = self.site.record(
                    charge.number,
                    charge.energy_dwh,
                    connector_no=charge.connector_no,
                    started=from_ms(charge.started_ms),
                    minutes=charge.minutes,
                )
                self._tokens[token] = charge
        if settled:
            self._settle()

    @rule(seconds=st.sampled_from((1, 60, 200, 700)))
    def wait(self, seconds: int) -> None:
        self.site.clock.advance(seconds)
        self.site.station.tick()
        self._settle()

    @rule()
    def disk_hangs(self) -> None:
        self._disk.clear()

    @rule()
    def disk_works(self) -> None:
        self._disk.set()
        self._settle()

    @rule()
    def lose_link(self) -> None:
        if CP in self.site.points.online:
            self.site.lose()

    @rule()
    def log_in(self) -> None:
        self.site.log_in()

    @rule()
    def crash(self) -> None:
        """Go on with what the disk held; what waited for it never happened."""
        before = self.site.points
        before.on_wish = before.on_confirm = lambda *_: None
        self._run(self.site.crash(self._disk.set))
        self._listen()
        self._run(self.site.settle())
        self.site.log_in()

    @rule()
    def restart(self) -> None:
        self._disk.set()
        self._settle()
        self._run(self.site.restart())
        self._listen()
        self.site.log_in()

    # What holds

    @invariant()
    def each_is_billed_once(self) -> None:
        if not hasattr(self, "site"):
            return
        self._settle()
        if not self._disk.is_set():
            return
        ended: dict[str, list[e.TransactionEnded]] = {}
        ids: dict[str, set[UUID]] = {}
        for fact in self.site.facts:
            if isinstance(fact, e.TransactionEvent):
                ids.setdefault(fact.transaction_no, set()).add(fact.transaction_id)
            if isinstance(fact, e.TransactionEnded):
                ended.setdefault(fact.transaction_no, []).append(fact)
        for number, charge in self._charges.items():
            facts = ended.get(number, [])
            finals = [fact for fact in facts if fact.ended_by in _FINAL]
            assert len(finals) <= 1
            assert len(ids.get(number, set())) <= 1
            assert EndKind.DISPUTED not in {fact.ended_by for fact in facts}
            if charge.confirmed:
                assert len(finals) == 1
                assert finals[0].record is not None
                assert finals[0].record.energy_dwh == charge.energy_dwh
            if finals:
                assert facts[-1] is finals[0]
                estimated = any(fact.ended_by is EndKind.ESTIMATED for fact in facts)
                assert (finals[0].ended_by is EndKind.CORRECTED) is estimated

    def teardown(self) -> None:
        self._disk.set()
        if hasattr(self, "site"):
            for charge in self._charges.values():
                if charge.running:
                    self._stop(charge)
            self.site.log_in()
            self.send_records(settled=True)
            self.each_is_billed_once()
            assert all(charge.confirmed for charge in self._charges.values())
            assert self.site.bus.failures()["station"] == 0
            self._run(self.site.tick(151))
            self._run(self.site.tick(700))
            self._run(self.site.tick(700))
            assert self.site.station.book.open_transactions() == []
            self._run(self.site.close())
        self._run(self._loop.shutdown_default_executor())
        self._loop.close()
        Store.apply = self._apply  # type: ignore[method-assign]
        shutil.rmtree(self._root)


TestStationLife = StationLife.TestCase
TestStationLife.settings = settings(
    max_examples=15, stateful_step_count=30, deadline=None, derandomize=True
)
