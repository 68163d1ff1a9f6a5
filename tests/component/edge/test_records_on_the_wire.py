"""0x3B and 0x40 over real TCP: nothing is confirmed that is not on the disk."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from edge.devices.chargers.ykc import messages
from edge.devices.chargers.ykc.fields import Cp56Time
from edge.journal.store import Store
from shared.clock import SystemClock
from shared.contracts.envelope import unpack_events
from shared.contracts.events import TransactionEnded, TransactionFramesLogged
from shared.contracts.topics import Lane
from tests.component.edge.agent_support import running, write_config
from tests.component.gateway_support import NUMBER, TX, ZONE, Charger, frame, realtime, record

TX2 = TX[:-1] + "2"


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Cleared, it keeps every commit waiting."""
    works, apply = threading.Event(), Store.apply
    works.set()

    def slowly(store: Store, *rest: Any) -> Any:
        works.wait(30)  # a test that fails must not hang
        return apply(store, *rest)

    monkeypatch.setattr(Store, "apply", slowly)
    yield works
    works.set()


async def test_a_record_is_confirmed_after_its_commit(
    tmp_path: Path, disk: threading.Event
) -> None:
    async with running(write_config(tmp_path)) as station, Charger(station.port) as charger:
        await charger.log_in()
        charger.send(realtime(tx=TX, state=3))
        disk.clear()
        charger.send(frame(record(), b"\x77\x01"), messages.Heartbeat(NUMBER, 1, 0))
        await charger.expect(messages.HeartbeatAnswer)
        assert not any(item.kind == messages.RecordConfirm.KIND for item in charger._inbox)
        disk.set()
        confirmed = await charger.expect(messages.RecordConfirm)
        assert (confirmed.transaction_no, confirmed.result) == (TX, 0)
        assert charger.last.sequence == b"\x77\x01"


async def test_the_second_copy_is_on_the_disk_before_the_confirmation(tmp_path: Path) -> None:
    async with running(write_config(tmp_path)) as station, Charger(station.port) as charger:
        await charger.log_in()
        raw = frame(record(), b"\x77\x01")
        charger.send(raw)
        await charger.expect(messages.RecordConfirm)
        copy = (station.data_dir / "frames" / "records.hex").read_text()
        assert raw.hex() in copy


async def test_a_replaced_link_confirms_only_what_came_on_it(
    tmp_path: Path, disk: threading.Event
) -> None:
    async with running(write_config(tmp_path)) as station, Charger(station.port) as old:
        await old.log_in()
        disk.clear()
        old.send(record(), messages.Heartbeat(NUMBER, 1, 0))
        await old.expect(messages.HeartbeatAnswer)
        async with Charger(station.port) as new:
            await new.log_in()
            await old.closed()
            new.send(frame(record(tx=TX2), b"\x55\x00"))
            new.send(messages.Heartbeat(NUMBER, 1, 0))
            await new.expect(messages.HeartbeatAnswer)
            disk.set()
            confirmed = await new.expect(messages.RecordConfirm)
            assert (confirmed.transaction_no, new.last.sequence) == (TX2, b"\x55\x00")
            new.send(frame(record(), b"\x56\x00"))  # again, since nobody confirmed it
            again = await new.expect(messages.RecordConfirm)
            assert (again.transaction_no, new.last.sequence) == (TX, b"\x56\x00")
        lines = await station.export()
        assert len(lines) == 2


async def test_a_stop_is_on_the_wire_while_the_disk_hangs(
    tmp_path: Path, disk: threading.Event
) -> None:
    async with running(write_config(tmp_path)) as station, Charger(station.port) as charger:
        await charger.log_in()
        disk.clear()
        charger.send(messages.Heartbeat(NUMBER, 1, 0))  # what comes before it may be stored
        charger.send(realtime(tx=TX, state=3, battery_temp_max_raw=50 + 56))
        stop = await charger.expect(messages.RemoteStop)
        assert (stop.charge_point_no, stop.connector_no) == (NUMBER, 1)
        disk.set()


async def test_a_number_of_zeros_is_matched_by_its_connector(tmp_path: Path) -> None:
    async with running(write_config(tmp_path)) as station, Charger(station.port) as charger:
        await charger.log_in()
        charger.send(messages.Heartbeat(NUMBER, 1, 0))
        await charger.expect(messages.HeartbeatAnswer)
        charger.send(realtime(tx=TX, state=3, energy_dwh=10_000))
        charger.send(realtime(state=2, plugged_in=1))
        now = Cp56Time.from_utc(SystemClock().now(), ZONE)
        charger.send(structs.replace(record(tx="0" * 32), started_at=now, ended_at=now))
        confirmed = await charger.expect(messages.RecordConfirm)
        assert confirmed.transaction_no == "0" * 32
        (line,) = await station.export()
        assert f'"transaction_no": "{TX}"' in line


async def test_what_a_broken_journal_owed_hq_comes_from_the_second_copy(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    async with running(config) as station, Charger(station.port) as charger:
        await charger.log_in()
        charger.send(frame(record(), b"\x77\x01"))
        await charger.expect(messages.RecordConfirm)
        exported = await station.export()
    (station.data_dir / "station.db").write_bytes(b"not a database" * 1000)
    async with running(config) as station:
        assert station.agent._recovering is not None
        await station.agent._recovering
        assert await station.export() == exported
        assert station.agent.journal.recovered
        await station.agent.journal.commit([])
        batch = station.agent.journal.head(Lane.BILL)
        assert batch is not None
        ended, *_where_its_frames_are = unpack_events(batch.body)
        assert isinstance(ended, TransactionEnded)
        assert ended.transaction_no == TX


async def test_a_journal_that_breaks_meanwhile_tells_hq_again_and_lets_records_come(
    tmp_path: Path,
) -> None:
    async with running(write_config(tmp_path)) as station, Charger(station.port) as charger:
        agent = station.agent
        agent.station.on_ended = lambda _ended: None  # one fact at a time
        await charger.log_in()
        charger.send(frame(record(), b"\x77\x01"))
        await charger.expect(messages.RecordConfirm)
        (told,) = unpack_events(agent.journal.head(Lane.BILL).body)
        agent.journal.acknowledge(Lane.BILL, [agent.journal.head(Lane.BILL).seq])
        await agent.journal.commit([])
        agent.journal.recovered = "station.db.broken: torn"  # what the writer says of it
        agent.station.stores.on_journal_trouble()
        await agent._recovering
        await agent.journal.commit([])
        (again,) = unpack_events(agent.journal.head(Lane.BILL).body)
        assert again.transaction_id == told.transaction_id
        assert again.record == told.record
        await charger.closed()


async def test_what_is_wrong_on_the_wire_is_logged_counted_and_raised(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(write_config(tmp_path)) as station, Charger(station.port) as charger:
        await charger.log_in()
        charger.send(frame(record("32010600019299"), b"\x77\x01"), b"\x00" * 30)
        charger.send(frame(record(), b"\x77\x02"))
        await charger.expect(messages.RecordConfirm)  # all before it was heard
        state = await station.ask(do="state")
    raised = {(alarm["code"], alarm["object"]) for alarm in state["alarms"]}
    assert ("record_foreign", f"charge_point:{NUMBER}") in raised
    assert state["counters"]["complaints"] == {"record_foreign": 1, "garbage": 1}
    assert state["counters"]["gateway"]["accepted"] == 1
    assert state["counters"]["frame_log"]["dropped"] == 0
    assert "names 32010600019299" in caplog.text


async def test_hq_is_told_where_the_frames_of_a_transaction_stand(tmp_path: Path) -> None:
    async with running(write_config(tmp_path)) as station, Charger(station.port) as charger:
        await charger.log_in()
        raw = frame(record(), b"\x77\x01")
        charger.send(raw)
        await charger.expect(messages.RecordConfirm)
        journal, facts = station.agent.journal, []
        ready = asyncio.Event()
        journal.on_ready(ready.set)
        async with asyncio.timeout(20):
            while not (facts and isinstance(facts[-1], TransactionFramesLogged)):
                while batch := journal.head(Lane.BILL):
                    facts += unpack_events(batch.body)
                    journal.acknowledge(Lane.BILL, [batch.seq])
                    await journal.commit([])
                if not isinstance(facts[-1], TransactionFramesLogged):
                    ready.clear()
                    await ready.wait()
        (ended, logged) = facts
        assert logged.transaction_id == ended.transaction_id
        lines = b"".join(
            station.agent.frame_log.read_lines(each.file, each.first_line, each.last_line)
            for each in logged.frames
        )
        assert raw.hex().encode() in lines
