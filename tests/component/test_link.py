"""The link over a real broker, with an HQ that commits into a dict and then acknowledges."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import uvloop

from edge.uplink.mqtt import Connection, LinkLostError
from shared.contracts import topics
from shared.contracts.commands import AnyCommand, ReportState, Watch
from shared.contracts.envelope import (
    VERSION,
    Ack,
    CommandEnvelope,
    Uplink,
    encode,
)
from shared.contracts.topics import Lane
from tests.component.link_support import (
    NOW,
    STATION,
    WAIT_S,
    BrokerProcess,
    Headquarters,
    Station,
    bill_fact,
    running,
    sample,
    state_fact,
)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[BrokerProcess]:
    process = BrokerProcess(tmp_path)
    yield process
    process.kill()


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_facts_arrive_and_are_deleted_after_the_commit(
    tmp_path: Path, broker: BrokerProcess, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(send_facts(tmp_path, broker))


async def send_facts(tmp_path: Path, broker: BrokerProcess) -> None:
    await broker.start()
    hq = Headquarters(broker)
    station = Station(tmp_path, broker)
    async with running(asyncio.create_task(hq.run()), asyncio.create_task(station.link.run())):
        facts = [state_fact(n) for n in range(50)]
        assert await station.journal.commit(facts[:1])
        assert await station.journal.commit(facts[1:])
        await hq.until(lambda: len(hq.events(Lane.STATE)) == 50)
        await station.until(lambda: station.journal.unacknowledged[Lane.STATE] == 0)
        assert hq.events(Lane.STATE) == facts
        assert station.connections == 1
        assert station.link.state.connected
        assert hq.statuses[-1].online
        assert hq.statuses[-1].epoch == station.journal.epoch
    await station.close()


async def test_broker_killed_and_restarted_loses_nothing(
    tmp_path: Path, broker: BrokerProcess
) -> None:
    await broker.start()
    hq = Headquarters(broker)
    station = Station(tmp_path, broker, records_min=100, window_s=0.0)
    dropped: set[int] = set()

    def commit_on_second_try(uplink: Uplink) -> bool:
        if uplink.seq % 3 == 0 and uplink.seq not in dropped:
            dropped.add(uplink.seq)
            return False
        return True

    hq.commit = commit_on_second_try
    samples = [sample(n) for n in range(1200)]
    async with running(asyncio.create_task(hq.run()), asyncio.create_task(station.link.run())):
        for round_no in range(6):
            await station.journal.commit([state_fact(round_no), bill_fact(round_no)])
            for one in samples[round_no * 200 : (round_no + 1) * 200]:
                station.telemetry.add(one)
            await station.telemetry.flushed()
            if round_no in {1, 3}:
                await hq.until(lambda: bool(hq.batches))
                await station.until(lambda: station.link.connected)
                broker.kill()
                await station.until(lambda: not station.link.connected)
            if round_no in {2, 4}:
                await broker.start()
        await hq.until(lambda: len(hq.samples()) == 1200 and len(hq.events(Lane.BILL)) == 6)
        await hq.until(lambda: len(hq.events(Lane.STATE)) == 6)
        await station.until(lambda: not any(station.journal.unacknowledged.values()))
        await station.until(lambda: not station.telemetry.sealed_seqs())
    assert hq.events(Lane.STATE) == [state_fact(n) for n in range(6)]
    assert hq.events(Lane.BILL) == [bill_fact(n) for n in range(6)]
    assert sorted(hq.samples(), key=lambda s: s.at_ms) == samples
    assert station.connections >= 3
    assert station.link.state.resent > 0
    await station.close()


async def test_bill_overtakes_a_backlog_of_telemetry(tmp_path: Path, broker: BrokerProcess) -> None:
    await broker.start()
    hq = Headquarters(broker)
    station = Station(tmp_path, broker, records_min=10, records_max=10, unacknowledged_max=1000)
    for n in range(2000):
        station.telemetry.add(sample(n))
    await station.telemetry.flushed()
    assert len(station.telemetry.sealed_seqs()) == 200
    # HQ takes the bill, but of the backlog no more than a tenth until the bill is there.
    hq.commit = lambda uplink: uplink.lane is Lane.BILL or uplink.seq <= 20
    async with running(asyncio.create_task(hq.run()), asyncio.create_task(station.link.run())):
        await station.until(lambda: len(station.telemetry.sealed_seqs()) == 180)
        await station.journal.commit([bill_fact(1)])
        await hq.until(lambda: Lane.BILL in hq.order)
        assert hq.order.index(Lane.BILL) == 20
        hq.commit = lambda _: True
        await hq.until(lambda: len(hq.samples()) == 2000)
        await station.until(lambda: station.telemetry.records == 0)
    assert len(hq.order) == 201
    await station.close()


async def test_telemetry_window_is_bounded_while_headquarters_is_silent(
    tmp_path: Path, broker: BrokerProcess
) -> None:
    await broker.start()
    hq = Headquarters(broker)
    station = Station(tmp_path, broker, records_min=1, records_max=1, unacknowledged_max=1000)
    for n in range(50):
        station.telemetry.add(sample(n))
    await station.telemetry.flushed()
    hq.commit = lambda uplink: uplink.seq <= 20
    async with running(asyncio.create_task(hq.run()), asyncio.create_task(station.link.run())):
        await hq.until(lambda: len(hq.batches) == 20)
        await station.until(lambda: station.link.state.resent >= 9)
        # Eight went up in vain; then one at a time, ever more seldom.
        assert len(station.telemetry.sealed_seqs()) == 30
        hq.commit = lambda _: True
        await hq.until(lambda: len(hq.batches) == 50)
    await station.close()


async def test_bad_messages_are_counted_and_good_commands_obeyed(
    tmp_path: Path, broker: BrokerProcess
) -> None:
    await broker.start()
    hq = Headquarters(broker)
    station = Station(tmp_path, broker)

    def command(inner: AnyCommand, station_no: str = STATION) -> bytes:
        return encode(
            CommandEnvelope(command_id=uuid4(), station_no=station_no, issued_at=NOW, command=inner)
        )

    topic = topics.down_command(STATION)
    async with running(asyncio.create_task(hq.run()), asyncio.create_task(station.link.run())):
        await station.until(lambda: station.link.connected)
        await hq.publish(topic, b"\xc1nonsense")
        await hq.publish(topics.down_ack(STATION), b"")
        await hq.publish(f"vw/1/{STATION}/down/else", b"x")  # not subscribed, never arrives
        await hq.publish(topic, command(ReportState(), "ST-02"))
        stranger = Ack(VERSION, uuid4(), ((Lane.STATE, (1,)), (Lane.TELEMETRY, (1,))))
        await hq.publish(topics.down_ack(STATION), encode(stranger))
        await hq.publish(topic, command(Watch(lease_s=60)))
        await station.until(lambda: len(station.commands) == 1)
        assert station.link.state.malformed == 2
        await hq.until(lambda: len(hq.live) >= 3)
        assert [update.whole for update in hq.live[:3]] == [True, False, False]
        await hq.publish(topic, command(ReportState()), retain=True)
        await station.until(lambda: len(station.commands) == 2)
        assert {each.station_no for each in station.commands} == {STATION}, "obeyed another's"
        # A station that connects later is given the retained one: it must not obey.
    late = tmp_path / "late"
    late.mkdir()
    other = Station(late, broker)
    async with running(asyncio.create_task(other.link.run())):
        await other.until(lambda: other.link.state.retained_ignored == 1)
        assert other.commands == []
    await station.close()
    await other.close()


async def test_live_lane_is_silent_without_a_lease(tmp_path: Path, broker: BrokerProcess) -> None:
    await broker.start()
    hq = Headquarters(broker)
    station = Station(tmp_path, broker)
    async with running(asyncio.create_task(hq.run()), asyncio.create_task(station.link.run())):
        await station.until(lambda: station.link.connected)
        station.link.watch(0.2)
        await hq.until(lambda: bool(hq.live))
        # The lease runs out; a fact that makes the round afterwards is the proof of time.
        await asyncio.sleep(0.25)
        told = len(station.wholes)
        await station.journal.commit([state_fact(1)])
        await station.until(lambda: station.journal.unacknowledged[Lane.STATE] == 0)
        assert len(station.wholes) <= told + 1
    await station.close()


async def test_wrong_password_is_an_error_that_is_shown(
    tmp_path: Path, broker: BrokerProcess
) -> None:
    await broker.start()
    with pytest.raises(LinkLostError):
        async with Connection(
            broker.login(password="wrong", timeout_s=1.0),
            identifier=STATION,
            will_topic=topics.status(STATION),
            will=b"",
        ):
            pass


async def test_refused_connection_leaves_no_socket(broker: BrokerProcess) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(LinkLostError):
            async with Connection(
                broker.login(port=port, timeout_s=0.2), identifier="x", will_topic="w", will=b""
            ):
                pass
        peer, _ = silent.accept()
        with peer:
            peer.settimeout(WAIT_S)
            while peer.recv(4096):  # what it said, and then the end
                pass
    with pytest.raises(LinkLostError):
        async with Connection(
            broker.login(), identifier="x", will_topic="w", will=b""
        ):  # nobody listens there
            pass


async def test_station_says_offline_when_it_stops_and_the_broker_when_it_dies(
    tmp_path: Path, broker: BrokerProcess
) -> None:
    await broker.start()
    hq = Headquarters(broker)
    station = Station(tmp_path, broker)
    async with running(asyncio.create_task(hq.run())):
        link = asyncio.create_task(station.link.run())
        await hq.until(lambda: bool(hq.statuses) and hq.statuses[-1].online)
        link.cancel()
        await asyncio.gather(link, return_exceptions=True)
        await hq.until(lambda: not hq.statuses[-1].online)
        assert hq.statuses[-1].at_ms == hq.statuses[-2].at_ms
    await station.close()


async def test_idle_station_sends_an_empty_batch(tmp_path: Path, broker: BrokerProcess) -> None:
    await broker.start()
    hq = Headquarters(broker)
    station = Station(tmp_path, broker, window_s=0.0)
    async with running(asyncio.create_task(hq.run()), asyncio.create_task(station.link.run())):
        station.telemetry.flush()
        await hq.until(lambda: bool(hq.batches))
        (uplink,) = hq.batches.values()
        assert (uplink.lane, uplink.count) == (Lane.TELEMETRY, 0)
        assert hq.samples() == []
        await station.until(lambda: not station.telemetry.sealed_seqs())
    await station.close()


async def test_hq_is_in_reach_while_it_answers_not_while_its_broker_does(
    tmp_path: Path, broker: BrokerProcess
) -> None:
    await broker.start()
    hq = Headquarters(broker)
    hq.commit = lambda _: False
    station = Station(tmp_path, broker)
    link = station.link
    link._settings = dataclasses.replace(link._settings, reachable_s=0.5)  # for the test only
    async with running(asyncio.create_task(hq.run()), asyncio.create_task(link.run())):
        assert await station.journal.commit([bill_fact(1)])
        await hq.until(lambda: hq.received > 0)
        assert link.connected
        assert not link.hq_reachable
        hq.commit = lambda _: True
        await station.until(lambda: link.hq_reachable)
        await station.until(lambda: not link.hq_reachable)  # nothing more is acknowledged
        assert link.connected
    await station.close()


async def test_a_bug_ends_neither_the_link_nor_its_agent(
    tmp_path: Path, broker: BrokerProcess
) -> None:
    await broker.start()
    hq = Headquarters(broker)
    station = Station(tmp_path, broker)

    def broken(_whole: bool) -> None:
        raise RuntimeError("a bug")

    station.link._live_update = broken
    async with running(asyncio.create_task(hq.run()), asyncio.create_task(station.link.run())):
        await station.until(lambda: station.link.connected)
        station.link.watch(0.3)
        await station.until(lambda: station.link.state.connections >= 2)
        assert station.link.state.last_error.startswith("failed")
        await station.journal.commit([state_fact(1)])
        await station.until(lambda: station.journal.unacknowledged[Lane.STATE] == 0)
    await station.close()
