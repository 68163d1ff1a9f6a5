"""One simulated charge point on a clock that the test moves, without any socket."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from edge.devices.chargers.ykc.frames import Frame, split
from edge.devices.chargers.ykc.messages import (
    BayLockCommand,
    Heartbeat,
    HeartbeatAnswer,
    LoginAnswer,
    Message,
    OfflineCard,
    OfflineCardsClear,
    OfflineCardsQuery,
    OfflineCardsSync,
    ParallelRemoteStart,
    ParallelStartRequest,
    ParallelStartRequestAnswer,
    QrPrefix,
    Reboot,
    RecordConfirm,
    RemoteStart,
    RemoteStop,
    StartRequest,
    StartRequestAnswer,
    TariffAnswer,
    TariffCheckAnswer,
    TariffSet,
    TimeSync,
    TransactionRecord,
    Update,
    WorkParameters,
    parse,
)
from ops.sim.book import Book, read
from ops.sim.car import Car
from ops.sim.connector import Limits
from ops.sim.machine import ChargePointSpec, Machine
from ops.sim.records import retry_delays_s
from ops.sim.starting import BY_CARD, BY_VIN
from ops.sim.timing import FAST, NORMAL
from tests.fakes.manual_clock import ManualClock
from tests.fakes.ykc_platform import cp56, tariff_fields

NO = "32010600019236"
CARD = "00000000d14b0a54"
NUMBER = NO + "01" + "2611221420000001"


class Bench:
    """A machine, its clock and a wire that only records."""

    def __init__(self, book: Book | None = None, **spec: Any) -> None:
        self.clock = ManualClock(datetime(2026, 11, 22, 6, 20, tzinfo=UTC))
        self.book = book or Book(None)
        self.machine = Machine(
            ChargePointSpec(charge_point_no=NO, **spec),
            book=self.book,
            clock=self.clock,
            timing=NORMAL,
            seed=3,
        )
        self.sent: list[tuple[float, bytes]] = []
        self.raw = b""
        self.closed = ""

    def write(self, data: bytes) -> None:
        self.raw += data
        found, _ = split(data)
        for frame in found:
            if isinstance(frame, Frame):
                self.sent.append((self.clock.monotonic_s() - 1000, frame.raw))

    def close(self, reason: str) -> None:
        self.closed = reason
        self.machine.link_down(reason)

    def run(self, seconds: float, step_s: float = 0.5) -> None:
        """Let time pass; heartbeats are answered."""
        for _ in range(round(seconds / step_s)):
            self.clock.advance(step_s)
            self.machine.timers.run_due()
            if self.machine.wire is not None:
                self.give(HeartbeatAnswer(charge_point_no=NO, connector_no=1))

    def give(self, message: Message, sequence: bytes = b"\x2a\x00") -> None:
        self.machine.receive(Frame(message.KIND, message.build(), sequence).build())

    def log_in(self) -> None:
        self.machine.link_up(self)
        self.give(LoginAnswer(charge_point_no=NO, result=0))
        self.give(TariffCheckAnswer(charge_point_no=NO, tariff_no="0000", result=1))
        self.give(TariffAnswer(**tariff_fields(NO)))

    def frames(self, kind: int) -> list[tuple[float, Frame]]:
        found = [(at_s, split(raw)[0][0]) for at_s, raw in self.sent]
        return [(at_s, f) for at_s, f in found if isinstance(f, Frame) and f.kind == kind]

    def messages(self, kind: int) -> list[Any]:
        return [parse(frame.kind, frame.body) for _, frame in self.frames(kind)]

    def plug_in(self, **car: Any) -> None:
        self.machine.connectors[1].car = Car.seeded(1, **({"soc": 0.2} | car))

    def start_by_card(self, limits: Limits | None = None) -> None:
        self.machine.starts.request(1, BY_CARD, CARD, "", limits)
        self.give(self.allow())

    def allow(self, authorized: int = 1, balance_fen: int = 50_000) -> StartRequestAnswer:
        return StartRequestAnswer(
            transaction_no=NUMBER,
            charge_point_no=NO,
            connector_no=1,
            logical_card="0" * 16,
            balance_fen=balance_fen,
            authorized=authorized,
            reason=0 if authorized else 3,
        )

    def names(self) -> list[str]:
        return [event.name for event in self.machine.log.events]


def charged(bench: Bench, seconds: float = 60) -> None:
    bench.log_in()
    bench.plug_in()
    bench.start_by_card()
    bench.run(seconds)


def test_record_retries_at_30_60_90_and_390_seconds_and_then_stops() -> None:
    assert retry_delays_s(NORMAL) == [30, 30, 30, 300]
    bench = Bench()
    charged(bench)
    bench.machine.charges.stop(1, 0x45)
    bench.run(1)
    bench.run(1200)
    times_s = [at_s for at_s, _ in bench.frames(0x3B)]
    assert [round(at_s - times_s[0]) for at_s in times_s] == [0, 30, 60, 90, 390]
    bodies = {frame.body for _, frame in bench.frames(0x3B)}
    sequences = [frame.sequence for _, frame in bench.frames(0x3B)]
    assert len(bodies) == 1
    assert len(set(sequences)) == 5
    assert bench.names().count("gave_up") == 1


def test_a_stored_record_is_sent_at_each_login_until_it_is_confirmed() -> None:
    bench = Bench()
    charged(bench)
    bench.machine.charges.stop(1, 0x45)
    bench.run(600)
    bench.close("test")
    bench.log_in()
    assert len(bench.frames(0x3B)) == 6
    bench.give(RecordConfirm(transaction_no=NUMBER, result=1))
    assert bench.book.unconfirmed(NO) != []
    bench.give(RecordConfirm(transaction_no=NUMBER, result=0))
    assert bench.book.unconfirmed(NO) == []
    bench.run(600)
    bench.close("test")
    bench.log_in()
    assert len(bench.frames(0x3B)) == 6


def test_a_confirmation_of_another_number_confirms_nothing() -> None:
    bench = Bench()
    charged(bench)
    bench.machine.charges.stop(1, 0x45)
    bench.run(1)
    bench.give(RecordConfirm(transaction_no="9" * 32, result=0))
    assert len(bench.book.unconfirmed(NO)) == 1
    assert "unknown_confirm" in bench.names()


def test_same_seed_and_script_give_the_same_bytes() -> None:
    first, second = Bench(), Bench()
    for bench in (first, second):
        charged(bench, 300)
        bench.machine.charges.stop(1, 0x45)
        bench.run(60)
    assert first.raw == second.raw
    assert len(first.raw) > 3000


def test_periods_while_charging_and_idle() -> None:
    bench = Bench()
    charged(bench, 90)
    live = [(at_s, parse(f.kind, f.body)) for at_s, f in bench.frames(0x13)]
    times_s = [at_s for at_s, message in live if message.connector_no == 1 and message.current_da]
    assert [b - a for a, b in pairwise(times_s)] == [15.0] * 5
    assert len(bench.frames(0x23)) == len(bench.frames(0x25)) == 6
    beats_s = [at_s for at_s, _ in bench.frames(0x03)]
    assert [b - a for a, b in pairwise(beats_s)] == [10.0] * 9


def test_without_a_tariff_nothing_charges() -> None:
    bench = Bench()
    bench.machine.link_up(bench)
    bench.give(LoginAnswer(charge_point_no=NO, result=0))
    bench.give(TariffCheckAnswer(charge_point_no=NO, tariff_no="0000", result=1))
    bench.plug_in()
    bench.machine.starts.request(1, BY_CARD, CARD)
    assert bench.messages(0x31) == []
    bench.run(12)
    assert len(bench.frames(0x09)) == 2
    assert bench.frames(0x03), "without a tariff the platform still hears of it"


def test_tariff_is_kept_and_not_changed_while_charging() -> None:
    bench = Bench()
    charged(bench)
    bench.give(TariffSet(**tariff_fields(NO, "0002")))
    assert bench.messages(0x57)[-1].result == 0
    bench.machine.charges.stop(1, 0x45)
    bench.run(1)
    bench.give(TariffSet(**tariff_fields(NO, "0002")))
    assert bench.messages(0x57)[-1].result == 1
    bench.close("test")
    bench.machine.link_up(bench)
    bench.give(LoginAnswer(charge_point_no=NO, result=0))
    assert bench.messages(0x05)[-1].tariff_no == "0002"


def test_refused_start_makes_no_record() -> None:
    bench = Bench()
    bench.log_in()
    bench.plug_in()
    bench.machine.starts.request(1, BY_VIN, "")
    request: StartRequest = bench.messages(0x31)[0]
    car = bench.machine.connectors[1].car
    assert car is not None
    assert (request.start_mode, request.vin) == (3, car.vin)
    bench.give(bench.allow(authorized=0))
    bench.run(60)
    assert bench.messages(0x3B) == []
    assert bench.machine.log.events[-1].name == "start_refused"


@pytest.mark.parametrize(("failure", "balance_fen"), [(0x52, 1000), (0, 0)])
def test_a_failed_start_makes_a_record_without_energy(failure: int, balance_fen: int) -> None:
    bench = Bench()
    bench.log_in()
    bench.plug_in()
    bench.machine.faults.start_failure = failure
    bench.machine.starts.request(1, BY_CARD, CARD)
    bench.give(bench.allow(balance_fen=balance_fen))
    bench.run(5)
    record: TransactionRecord = bench.messages(0x3B)[0]
    assert (record.energy_dwh, record.stop_reason) == (0, failure or 0x4E)


def remote_start(connector_no: int = 1) -> RemoteStart:
    return RemoteStart(
        transaction_no=NUMBER,
        charge_point_no=NO,
        connector_no=connector_no,
        logical_card="0" * 16,
        physical_card="0" * 16,
        balance_fen=1000,
    )


def test_remote_start_forgets_an_unplugged_connector_after_60_seconds() -> None:
    bench = Bench()
    bench.log_in()
    bench.give(remote_start())
    assert (bench.messages(0x33)[-1].result, bench.messages(0x33)[-1].reason) == (0, 5)
    bench.run(61)
    bench.plug_in()
    bench.machine.starts.plugged_in(1)
    assert len(bench.messages(0x33)) == 1
    assert "starting" not in bench.names()


def test_remote_start_twice_with_one_number_is_one_start() -> None:
    bench = Bench()
    bench.log_in()
    bench.plug_in()
    bench.give(remote_start())
    bench.give(remote_start())
    assert [answer.result for answer in bench.messages(0x33)] == [1, 1]
    assert bench.names().count("starting") == 1
    bench.give(remote_start(connector_no=9))
    assert bench.messages(0x33)[-1].reason == 1


def test_answers_carry_the_sequence_of_their_request() -> None:
    bench = Bench()
    bench.log_in()
    bench.give(remote_start(), b"\x12\x34")
    assert bench.frames(0x33)[-1][1].sequence == b"\x12\x34"


@pytest.mark.parametrize(
    ("fault", "answers"), [("ignore_stop", []), ("false_stop", [1]), ("stop_refused", [0])]
)
def test_stop_faults_let_the_current_flow(fault: str, answers: list[int]) -> None:
    bench = Bench()
    charged(bench)
    bench.machine.faults.set(fault, True)
    bench.give(RemoteStop(charge_point_no=NO, connector_no=1))
    bench.run(20)
    assert [answer.result for answer in bench.messages(0x35)] == answers
    assert bench.messages(0x13)[-1].current_da > 0


def lie(fault: str, value: Any) -> TransactionRecord:
    bench = Bench()
    charged(bench)
    bench.machine.faults.set(fault, value)
    bench.machine.charges.stop(1, 0x45)
    bench.run(1)
    record: TransactionRecord = bench.messages(0x3B)[0]
    return record


def test_lies_of_a_record() -> None:
    record = lie("add_energy_dwh", 5000)
    assert record.energy_dwh - sum(part.energy_dwh for part in record.periods) == 5000
    record = lie("add_amount_e4", 777)
    assert record.amount_e4 - sum(part.amount_e4 for part in record.periods) == 777
    record = lie("meter_back_dwh", 3_000)
    assert record.meter_end_dwh - record.meter_start_dwh == record.energy_dwh - 3_000
    record = lie("rounds_to_fen", True)
    assert all(part.amount_e4 % 100 == 0 for part in record.periods)
    record = lie("clock_1970", True)
    assert (record.ended_at.year, record.ended_at.month) == (70, 1)
    record = lie("wrong_clock_s", -3600)
    local = record.ended_at.to_local()
    assert local is not None
    assert local.hour == 13


def test_wire_faults() -> None:
    bench = Bench()
    bench.log_in()
    bench.machine.faults.set("high_crc", True)
    bench.machine.send(Heartbeat(charge_point_no=NO, connector_no=1, status=0))
    assert bench.frames(0x03)[-1][1].crc_order == "high_first"
    bench.machine.faults.set("repeat", 2)
    before = len(bench.sent)
    bench.machine.send(Heartbeat(charge_point_no=NO, connector_no=1, status=0))
    assert len(bench.sent) == before + 3
    with pytest.raises(ValueError, match="unknown fault"):
        bench.machine.faults.set("nonsense", 1)
    with pytest.raises(ValueError, match="repeat"):
        bench.machine.faults.set("repeat", "often")
    assert bench.machine.faults.active() == {"high_crc": True, "repeat": 2}


def test_offline_card_makes_its_own_number_and_survives_the_login() -> None:
    bench = Bench()
    bench.log_in()
    bench.give(OfflineCardsSync(charge_point_no=NO, cards=(OfflineCard("1" * 16, CARD),)))
    assert bench.messages(0x43)[0].result == 1
    bench.give(OfflineCardsQuery(charge_point_no=NO, physical_cards=(CARD, "0" * 16)))
    assert [card.present for card in bench.messages(0x47)[0].cards] == [1, 0]
    bench.close("test")
    bench.plug_in()
    bench.machine.starts.request(1, BY_CARD, "ff" * 8)
    assert bench.names()[-1] == "start_refused"
    bench.machine.starts.request(1, BY_CARD, CARD)
    bench.run(40)
    bench.machine.charges.stop(1, 0x45)
    bench.run(1)
    entry = bench.book.entries()[0]
    assert entry.transaction_no == f"{NO}012611221420000000"
    assert entry.start_mode == 4
    before = len(bench.sent)
    bench.log_in()
    kinds = [raw[5] for _, raw in bench.sent[before:]]
    # Stored live data and record come after the tariff check and before the first heartbeat.
    assert kinds[:3] == [0x01, 0x05, 0x13]
    assert 0x03 not in kinds[: kinds.index(0x3B)]
    bench.give(OfflineCardsClear(charge_point_no=NO, physical_cards=(CARD,)))
    assert bench.messages(0x45)[0].cards[0].cleared == 1


def test_clock_follows_0x56() -> None:
    bench = Bench()
    bench.log_in()
    bench.give(TimeSync(charge_point_no=NO, current_time=cp56("2026-11-22 15:00:00")))
    assert bench.machine.clock_offset_ms == 40 * 60_000
    assert bench.messages(0x55)[0].current_time == cp56("2026-11-22 15:00:00")


def test_parameters_reboot_update_lock_and_qr() -> None:
    bench = Bench(bay_locks=True)
    bench.log_in()
    assert len(bench.messages(0x61)) == 2
    bench.give(WorkParameters(charge_point_no=NO, locked=1, power_max_percent=50))
    assert bench.messages(0x51)[0].result == 1
    bench.plug_in()
    bench.machine.starts.request(1, BY_CARD, CARD)
    assert bench.machine.log.events[-1].detail["why"] == "out of service"
    bench.give(BayLockCommand(charge_point_no=NO, connector_no=1, command=0xFF))
    bench.run(5)
    assert bench.messages(0x63)[0].result == 1
    assert bench.messages(0x61)[-1].lock_status == 0xFF
    bench.give(QrPrefix(charge_point_no=NO, format=0, prefix="https://example.org/"))
    assert bench.messages(0xF1)[0].result == 0
    bench.give(
        Update(
            charge_point_no=NO, model=1, power_kw=120, host="10.0.0.1", port=21, user="u",
            password="p", path="/firmware/VW2.0.0.bin", when=1, timeout_min=5,
        )
    )  # fmt: skip
    bench.run(12)
    assert bench.closed == "reboot"
    bench.log_in()
    assert bench.messages(0x01)[-1].program_version == "VW2.0.0"


def test_reboot_in_a_charge_leaves_its_record() -> None:
    bench = Bench()
    charged(bench)
    bench.give(Reboot(charge_point_no=NO, when=1))
    assert bench.messages(0x91)[0].result == 1
    bench.log_in()
    assert bench.messages(0x3B)[-1].stop_reason == 0x83


def test_kill_in_a_charge_leaves_its_record(tmp_path: Path) -> None:
    path = tmp_path / "book.jsonl"
    bench = Bench(Book(path))
    charged(bench, 120)
    last_dwh = bench.messages(0x13)[-1].energy_dwh
    assert list(read(path).open) == [NUMBER]
    bench.book.close()  # as the end of a process does
    with path.open("ab") as file:
        file.write(b'{"kind":"progr')
    again = Bench(Book(path))
    again.log_in()
    record: TransactionRecord = again.messages(0x3B)[0]
    assert (record.transaction_no, record.stop_reason) == (NUMBER, 0x83)
    assert record.energy_dwh == last_dwh > 0
    assert record.meter_end_dwh == again.machine.connectors[1].meter.reading_dwh
    again.book.close()
    contents = read(path)
    assert (len(contents.entries), len(contents.open), contents.torn_lines) == (1, 0, 1)


def test_fast_profile_is_the_same_schedule_only_shorter() -> None:
    assert retry_delays_s(FAST) == [2, 2, 2, 20]


def test_refused_login_closes() -> None:
    bench = Bench()
    bench.machine.link_up(bench)
    bench.give(LoginAnswer(charge_point_no=NO, result=1))
    assert bench.closed == "login refused"


def test_login_is_repeated_until_answered() -> None:
    bench = Bench()
    bench.machine.link_up(bench)
    bench.run(25)
    assert [at_s for at_s, _ in bench.frames(0x01)] == [0, 10, 20]


def test_bad_input_is_noted_and_survived() -> None:
    bench = Bench()
    bench.log_in()
    bench.machine.receive(b"\x00\xff\x68\x03")
    bench.give(remote_start())
    bench.machine.receive(Frame(0x34, b"short").build())
    bench.machine.receive(Frame(0x99, b"").build())
    bench.machine.receive(Frame(0x03, bytes(9)).build())
    assert {"bad_input", "unknown_frame"} <= set(bench.names())
    bench.run(10)
    assert bench.machine.wire is not None


def test_a_silent_car_is_reported() -> None:
    bench = Bench()
    bench.log_in()
    bench.plug_in()
    bench.machine.faults.start_failure = 0x5E
    bench.start_by_card()
    bench.run(5)
    assert bench.messages(0x1B)[0].errors >> 48 & 0xFF == 0b0100  # BCL timeout
    assert bench.messages(0x3B)[0].stop_reason == 0x5E


def parallel_answer(request: ParallelStartRequest, authorized: int) -> ParallelStartRequestAnswer:
    return ParallelStartRequestAnswer(
        transaction_no=f"{NO}{request.connector_no:02d}2611221420000001",
        charge_point_no=NO,
        connector_no=request.connector_no,
        logical_card="0" * 16,
        balance_fen=50_000,
        authorized=authorized,
        reason=1 - authorized,
        parallel_no=request.parallel_no,
    )


def parallel(second_allowed: int) -> Bench:
    bench = Bench()
    bench.log_in()
    car = Car.seeded(1, soc=0.2)
    for connector in bench.machine.connectors.values():
        connector.car = car
    bench.machine.starts.request_parallel([1, 2], CARD)
    first, second = bench.messages(0xA1)
    assert (first.role, second.role) == (0, 1)
    assert first.parallel_no == second.parallel_no
    bench.give(parallel_answer(first, 1))
    assert "starting" not in bench.names()
    bench.give(parallel_answer(second, second_allowed))
    bench.run(60)
    return bench


def test_parallel_charge_starts_and_stops_as_one() -> None:
    bench = parallel(1)
    assert bench.names().count("charging") == 2
    bench.give(RemoteStop(charge_point_no=NO, connector_no=1))
    bench.run(2)
    records = bench.messages(0x3B)
    assert {record.connector_no for record in records} == {1, 2}
    energies = [record.energy_dwh for record in records]
    assert min(energies) > 0
    assert max(energies) - min(energies) < max(energies) // 20  # the car's demand is shared


def test_parallel_charge_refused_on_one_connector_starts_nowhere() -> None:
    bench = parallel(0)
    assert "charging" not in bench.names()
    assert bench.messages(0x3B) == []


def test_parallel_remote_start() -> None:
    bench = Bench()
    bench.log_in()
    bench.plug_in()
    for connector_no in (1, 2):
        bench.give(
            ParallelRemoteStart(
                transaction_no=f"{NO}{connector_no:02d}2611221420000001",
                charge_point_no=NO,
                connector_no=connector_no,
                logical_card="0" * 16,
                physical_card="0" * 16,
                balance_fen=1000,
                parallel_no="261122142000",
            )
        )
    answers = [(answer.result, answer.reason, answer.role) for answer in bench.messages(0xA3)]
    assert answers == [(1, 0, 0), (0, 5, 1)]
