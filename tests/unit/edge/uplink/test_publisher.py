"""What goes up next: lanes in order, windows, patience. Stores and connection are stand-ins."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

import pytest

from edge.journal import Batch
from edge.telemetry import Sealed
from edge.uplink.publisher import Publisher
from shared.clock import SystemClock
from shared.contracts.envelope import VERSION, Ack, decode_uplink
from shared.contracts.topics import Lane

JOURNAL_EPOCH = UUID(int=1)
TELEMETRY_EPOCH = UUID(int=2)


class SteppedClock(SystemClock):
    monotonic = 0.0

    def monotonic_s(self) -> float:
        return self.monotonic


class FakeJournal:
    epoch = JOURNAL_EPOCH

    def __init__(self) -> None:
        self.heads: dict[Lane, Batch | None] = dict.fromkeys(Lane)
        self.acknowledged: list[tuple[Lane, tuple[int, ...]]] = []

    def head(self, lane: Lane) -> Batch | None:
        return self.heads[lane]

    def put(self, lane: Lane, seq: int) -> None:
        self.heads[lane] = Batch(self.epoch, lane, seq, 0, 1, b"body")

    def acknowledge(self, lane: Lane, seqs: tuple[int, ...]) -> None:
        self.acknowledged.append((lane, seqs))


class FakeTelemetry:
    epoch = TELEMETRY_EPOCH

    def __init__(self, count: int) -> None:
        self.seqs = list(range(1, count + 1))
        self.while_reading: list[tuple[FakeJournal, Lane]] = []

    def sealed_seqs(self) -> list[int]:
        return self.seqs

    async def read(self, seq: int) -> tuple[Sealed, bytes]:
        if self.while_reading:
            journal, lane = self.while_reading.pop()
            journal.put(lane, 1)
        return Sealed(seq, 0, 1, 4), b"body"

    def acknowledge(self, seqs: tuple[int, ...]) -> None:
        self.seqs = [seq for seq in self.seqs if seq not in seqs]


@dataclass
class Message:
    at_broker: bool = True


@dataclass
class Bench:
    backlog: int = 0
    clock: SteppedClock = field(default_factory=SteppedClock)
    journal: FakeJournal = field(default_factory=FakeJournal)
    messages: list[Message] = field(default_factory=list)
    log: list[tuple[Lane, int]] = field(default_factory=list)
    at_broker: bool = True

    def __post_init__(self) -> None:
        self.telemetry = FakeTelemetry(self.backlog)
        self.publisher = Publisher(
            station_no="S",
            journal=self.journal,  # type: ignore[arg-type]
            telemetry=self.telemetry,  # type: ignore[arg-type]
            clock=self.clock,
            window_max=8,
            resend_after_s=5.0,
            resend_max_s=40.0,
        )

    async def pump(self) -> list[tuple[Lane, int]]:
        self.log = []
        await self.publisher.pump(self._send)
        return self.log

    def _send(self, lane: Lane, data: bytes) -> Message:
        uplink = decode_uplink(data)
        assert (uplink.lane, uplink.station_no) == (lane, "S")
        self.log.append((lane, uplink.seq))
        self.messages.append(Message(self.at_broker))
        return self.messages[-1]

    def ack(self, lane: Lane, *seqs: int, epoch: UUID | None = None) -> None:
        epoch = epoch or (TELEMETRY_EPOCH if lane is Lane.TELEMETRY else JOURNAL_EPOCH)
        self.publisher.take_ack(Ack(VERSION, epoch, ((lane, seqs),)))


async def test_urgent_lanes_go_first_and_each_has_one_batch_in_flight() -> None:
    bench = Bench(backlog=3)
    for lane in (Lane.STATE, Lane.BILL, Lane.ALARM):
        bench.journal.put(lane, 4)
    sent = [(Lane.ALARM, 4), (Lane.BILL, 4), (Lane.STATE, 4), (Lane.TELEMETRY, 1)]
    assert await bench.pump() == sent
    assert await bench.pump() == []
    bench.ack(Lane.BILL, 4)
    assert bench.journal.acknowledged == [(Lane.BILL, (4,))]
    # Until the journal has deleted it, it is not sent again.
    bench.clock.monotonic = 4.0
    assert await bench.pump() == []
    bench.journal.put(Lane.BILL, 5)
    assert await bench.pump() == [(Lane.BILL, 5)]


async def test_alarm_that_comes_while_telemetry_is_read_overtakes_it() -> None:
    bench = Bench(backlog=1)
    bench.telemetry.while_reading = [(bench.journal, Lane.ALARM)]
    assert await bench.pump() == [(Lane.ALARM, 1), (Lane.TELEMETRY, 1)]


async def test_telemetry_window_opens_with_acknowledgements_and_shuts_for_a_bill() -> None:
    bench = Bench(backlog=100)
    assert await bench.pump() == [(Lane.TELEMETRY, 1)]
    bench.ack(Lane.TELEMETRY, 1)
    assert [seq for _, seq in await bench.pump()] == [2, 3]
    bench.ack(Lane.TELEMETRY, 3)
    assert [seq for _, seq in await bench.pump()] == [4, 5]
    bench.ack(Lane.TELEMETRY, 2, 4, 5)
    assert [seq for _, seq in await bench.pump()] == [6, 7, 8, 9, 10, 11]
    bench.ack(Lane.TELEMETRY, 6, 7, 8, 9, 10, 11)
    assert len(await bench.pump()) == 8
    bench.journal.put(Lane.BILL, 1)
    bench.ack(Lane.TELEMETRY, 12)
    assert await bench.pump() == [(Lane.BILL, 1)]


async def test_without_progress_batches_go_again_ever_more_seldom() -> None:
    bench = Bench()
    bench.journal.put(Lane.STATE, 1)
    times = []
    for step in range(200):
        bench.clock.monotonic = float(step)
        if await bench.pump():
            times.append(step)
    assert times == [0, 5, 15, 35, 75, 115, 155, 195]
    assert bench.publisher.resent == 7


async def test_batch_still_on_its_way_to_the_broker_is_not_sent_twice() -> None:
    bench = Bench(at_broker=False)
    bench.journal.put(Lane.STATE, 1)
    await bench.pump()
    bench.clock.monotonic = 60.0
    assert await bench.pump() == []
    bench.messages[0].at_broker = True
    bench.clock.monotonic = 64.0
    assert await bench.pump() == []
    bench.clock.monotonic = 65.0
    assert await bench.pump() == [(Lane.STATE, 1)]


async def test_progress_on_one_batch_is_patience_for_those_behind_it() -> None:
    bench = Bench(backlog=2)
    bench.ack(Lane.TELEMETRY, 99)
    assert len(await bench.pump()) == 2
    bench.clock.monotonic = 4.0
    bench.ack(Lane.TELEMETRY, 1)
    bench.clock.monotonic = 8.0
    assert await bench.pump() == []
    bench.clock.monotonic = 9.0
    assert await bench.pump() == [(Lane.TELEMETRY, 2)]


async def test_progress_of_others_does_not_hold_back_a_batch_that_was_lost() -> None:
    """A worker died with a state and a telemetry batch while its colleague takes all the rest."""
    bench = Bench(backlog=100)
    bench.ack(Lane.TELEMETRY, *range(900, 908))
    bench.journal.put(Lane.STATE, 1)
    sent = await bench.pump()
    assert (Lane.STATE, 1) in sent
    assert (Lane.TELEMETRY, 1) in sent
    assert len(sent) > 2
    again = []
    for second in range(1, 7):
        bench.clock.monotonic = float(second)
        for lane, seq in sent:
            if lane is Lane.TELEMETRY and seq > 1:
                bench.ack(lane, seq)
        sent = await bench.pump()
        again += [item for item in sent if item[1] == 1]
    assert again == [(Lane.STATE, 1), (Lane.TELEMETRY, 1)]


async def test_new_connection_sends_everything_again() -> None:
    bench = Bench(backlog=1)
    bench.journal.put(Lane.ALARM, 1)
    first = await bench.pump()
    bench.publisher.reset()
    assert await bench.pump() == first


@pytest.mark.parametrize("lane", [Lane.STATE, Lane.TELEMETRY, Lane.LIVE])
async def test_acknowledgement_of_another_epoch_is_counted_only(lane: Lane) -> None:
    bench = Bench(backlog=1)
    bench.journal.put(Lane.STATE, 1)
    bench.ack(lane, 1, epoch=UUID(int=3))
    assert bench.publisher.foreign_acks == 1
    assert bench.journal.acknowledged == []
    assert bench.telemetry.seqs == [1]
