"""One charge of an honest charge point, told to a real station over a bad line. Pure and quick.

What flows is a power curve; the charge point counts and prices it with the simulator's own
arithmetic, at its own clock. Between it and the station's book stands the real protocol. A time
in here is true time, UTC milliseconds; station and charge point have clocks of their own.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from edge.devices.chargers import reports as r
from edge.devices.chargers import wishes as w
from edge.devices.chargers.protocol import Received
from edge.devices.chargers.ykc import messages as m
from edge.devices.chargers.ykc import translate
from edge.devices.chargers.ykc.connection import YkcConnection
from edge.devices.chargers.ykc.frames import Frame
from edge.journal import Put
from edge.station import closed, open_list
from edge.station.alarms import AlarmBook
from edge.station.effects import Effects
from edge.station.records import on_record
from edge.station.registry import Registry
from edge.station.tariffs import TariffShelf
from edge.station.timing import NORMAL
from edge.station.transactions import TransactionBook
from ops.sim.meter import PERIODS, BillingModel, PeriodSplit, slot_at
from ops.sim.wire import NO_CARD, NO_TRANSACTION, cp56
from shared.clock import from_ms
from shared.contracts.commands import ChargePointConfig
from shared.contracts.events import TransactionEnded
from shared.contracts.words import StartMeans
from shared.tariff import TariffVersion

NUMBER = "32010600019236"
TX = NUMBER + "012611221403220001"
CONFIG = ChargePointConfig(charge_point_no=NUMBER, silence_limit_s=1e6)
Lie = Callable[[m.TransactionRecord], m.TransactionRecord]
_WMS_PER_DWH = 360_000
_ABORTED_BY_CAR = 0x45
_CARD = 2
_OFFLINE_CARD = 4


@dataclass(frozen=True)
class Outage:
    """The station or the line is away, in seconds after the start of the charge.

    `restart`: it is the agent that is away, and comes back from its disk, which has all but the
    last step if `torn`. The charge point loses what it sends for `unnoticed_s` and then stores.
    """

    from_s: float
    to_s: float
    restart: bool = False
    torn: bool = False
    unnoticed_s: float = 0.0
    heartbeat_after_s: float = 1.0


@dataclass(frozen=True)
class Story:
    """What happens. Seconds count from the start of the charge, which is at `start_ms`.

    `curve` is (seconds, watts) pieces; the charge ends with them. `late_s` says how late each frame
    arrives, in turn, and `clock_answer_s` how late 0x55 does. `ahead_ms` is the charge point's
    clock minus ours; `obeys`: it takes our time when it is told. `steps`: somebody sets our clock,
    by ms at a time.
    """

    version: TariffVersion
    zone_name: str
    start_ms: int
    curve: tuple[tuple[float, int], ...]
    sample_s: float = 15.0
    phase_s: float = 1.0
    outages: tuple[Outage, ...] = ()
    lost: tuple[tuple[float, float], ...] = ()
    late_s: tuple[float, ...] = (0.0,)
    ahead_ms: int = 0
    obeys: bool = True
    clock_answer_s: float = 0.0
    steps: tuple[tuple[float, int], ...] = ()
    stores: bool = True
    meter_start_dwh: int = 1_000_000
    record_comes: bool = True
    record_comes_late: bool = False
    ends_idle_first: bool = True
    new_version: tuple[float, TariffVersion] | None = None

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.zone_name)

    @property
    def end_ms(self) -> int:
        return self.start_ms + sum(round(seconds * 1000) for seconds, _ in self.curve)

    def at(self, seconds: float) -> int:
        """Return the instant so many seconds after the start."""
        return self.start_ms + round(seconds * 1000)


class HonestChargePoint:
    """Counts what flows and prices it by the tariff that it held at the start."""

    def __init__(self, story: Story) -> None:
        self._story = story
        pieces = [(round(seconds * 1000), watts) for seconds, watts in story.curve]
        self._until_ms = [story.start_ms, *accumulate((ms for ms, _ in pieces), initial=0)][1:]
        self._until_ms = [story.start_ms + ms for ms in self._until_ms]
        self._wms = list(accumulate((ms * watts for ms, watts in pieces), initial=0))
        self._watts = [watts for _, watts in pieces]
        body = translate.tariff_body(
            m.TariffAnswer, NUMBER, w.HeldTariff(story.version.model_no, story.version.tariff, "")
        )
        self.split = PeriodSplit(BillingModel.from_message(body), story.meter_start_dwh)
        self.ahead_ms = story.ahead_ms
        self._counted_ms = story.start_ms
        self.started_ms = story.start_ms + story.ahead_ms
        self.ended_ms = 0

    def reading_dwh(self, at_ms: int) -> int:
        """Return the meter at an instant."""
        at_ms = min(max(at_ms, self._story.start_ms), self._story.end_ms)
        index = min(bisect_right(self._until_ms, at_ms) - 1, len(self._watts) - 1)
        flowed = self._wms[index] + (at_ms - self._until_ms[index]) * self._watts[index]
        return self._story.meter_start_dwh + flowed // _WMS_PER_DWH

    def watts(self, at_ms: int) -> int:
        """Return the power at an instant."""
        if not self._story.start_ms <= at_ms < self._story.end_ms:
            return 0
        return self._watts[bisect_right(self._until_ms, at_ms) - 1]

    def count(self, at_ms: int) -> None:
        """Attribute what has flowed, cut where its own clock enters another half hour."""
        at_ms = min(at_ms, self._story.end_ms)
        while self._counted_ms < at_ms:
            slot, left_ms = slot_at(self._counted_ms + self.ahead_ms, self._story.zone)
            self._counted_ms = min(self._counted_ms + left_ms, at_ms)
            self.split.attribute(slot, self.reading_dwh(self._counted_ms))
        if at_ms == self._story.end_ms and not self.ended_ms:
            self.ended_ms = at_ms + self.ahead_ms

    def set_clock(self, at_ms: int, ahead_ms: int) -> None:
        """Have its clock set."""
        self.count(at_ms)
        self.ahead_ms = ahead_ms

    def sample(self, at_ms: int, *, idle: bool = False) -> m.Realtime:
        """0x13."""
        self.count(at_ms)
        current_da = 0 if idle else self.watts(at_ms) // 70
        charged_min = 0 if idle else (at_ms - self._story.start_ms) // 60_000
        return m.Realtime(
            transaction_no=NO_TRANSACTION if idle else TX, charge_point_no=NUMBER, connector_no=1,
            status=2 if idle else 3, holstered=0, plugged_in=1, voltage_dv=7000,
            current_da=current_da, cable_temp_raw=75, cable_no=NO_CARD, soc_percent=40,
            battery_temp_max_raw=80, charged_min=charged_min,
            remaining_min=0, energy_dwh=0 if idle else self.split.energy_dwh, loss_adjusted_dwh=0,
            amount_e4=0 if idle else self.split.amount_e4, faults_raw=0,
        )  # fmt: skip

    def record(self, start_mode: int) -> m.TransactionRecord:
        """0x3B."""
        split, zone = self.split, self._story.zone
        parts: dict[str, Any] = {}
        for number, period in enumerate(PERIODS):
            parts[f"{period}_price_e5"] = split.model.unit_price_e5(number)
            parts[f"{period}_energy_dwh"] = split.period_dwh[number]
            parts[f"{period}_loss_adjusted_dwh"] = 0
            parts[f"{period}_amount_e4"] = split.amounts_e4[number]
        return m.TransactionRecord(
            transaction_no=TX,
            charge_point_no=NUMBER,
            connector_no=1,
            started_at=cp56(self.started_ms, zone),
            ended_at=cp56(self.ended_ms, zone),
            meter_start_dwh=self._story.meter_start_dwh,
            meter_end_dwh=self._story.meter_start_dwh + split.energy_dwh,
            energy_dwh=split.energy_dwh,
            loss_adjusted_dwh=0,
            amount_e4=split.amount_e4,
            vin="LSVAA4182E2123456",
            start_mode=start_mode,
            transaction_time=cp56(self.ended_ms, zone),
            stop_reason=_ABORTED_BY_CAR,
            physical_card="00000000d14b0a54",
            **parts,
        )


@dataclass
class Telling:
    """A story told: what the charge point says at the end, and all that the station made of it."""

    story: Story
    point: HonestChargePoint
    ended: list[TransactionEnded] = field(default_factory=list)
    confirmed: bool = False


class _Station:
    """The station's book behind the protocol, and its disk."""

    def __init__(self, story: Story, telling: Telling) -> None:
        self.story, self.telling = story, telling
        self._disk: dict[tuple[str, str], bytes] = {}
        self._disk_before: dict[tuple[str, str], bytes] = {}
        self.tariffs = TariffShelf({}, {})
        self.tariffs.put(story.version)
        self.tariffs.confirm(NUMBER, story.version.tariff.content_hash())
        self._links = 0
        self.alarms = AlarmBook({})

    def now(self, at_ms: int) -> r.Moment:
        """Return an instant by our clocks."""
        step_ms = sum(ms for at_s, ms in self.story.steps if self.story.at(at_s) <= at_ms)
        return r.Moment(at_ms + step_ms, 1000.0 + (at_ms - self.story.start_ms) / 1000)

    def boot(self, at_ms: int, *, torn: bool = False) -> None:
        """Begin with what the disk holds."""
        disk = self._disk_before if torn else self._disk
        stored: dict[str, dict[str, bytes]] = {open_list.KIND: {}, closed.KIND: {}}
        for (kind, key), blob in disk.items():
            if kind in stored:
                stored[kind][key] = blob
        self.book = TransactionBook(
            stored[open_list.KIND],
            stored[closed.KIND],
            zone=self.story.zone,
            timing=NORMAL,
            tariffs=self.tariffs,
            registry=Registry({}, (CONFIG,)),
            now=self.now(at_ms),
            stopping=lambda _: False,
        )

    def connect(self) -> None:
        """Accept a connection."""
        self._links += 1
        self._link = YkcConnection(self._links, "10.0.0.9", self.story.zone)

    def hear(self, message: m.Message, at_ms: int) -> list[m.Message]:
        """Take in a frame; return what is answered."""
        frame = Frame(message.KIND, message.build(), b"\x01\x00").build()
        return self._take(self._link.receive(frame, self.now(at_ms)), at_ms)

    def lose(self, at_ms: int) -> None:
        """Notice that the line is gone."""
        self._take(self._link.lost("closed", self.now(at_ms)), at_ms)

    def tick(self, at_ms: int) -> None:
        """Do what time demands."""
        self._take(self._link.tick(self.now(at_ms)), at_ms)
        self._apply(self.book.tick(self.now(at_ms)))
        self._apply(self.book.flush())

    def authorize(self, at_ms: int) -> None:
        """Permit the charge."""
        self._apply(self.book.open(TX, (NUMBER, 1), StartMeans.CARD, self.now(at_ms)))

    def _take(self, out: Received, at_ms: int) -> list[m.Message]:
        answers = [m.parse(raw[5], raw[6:-2]) for raw in out.writes]
        for report in out.reports:
            answers += self._on_report(report, at_ms)
        return answers

    def _on_report(self, report: r.AnyReport, at_ms: int) -> list[m.Message]:
        match report:
            case r.LoginRequested():
                wish = w.DecideLogin(
                    charge_point_no=NUMBER,
                    link_id=self._links,
                    accepted=True,
                    config=CONFIG,
                    tariff=self.tariffs.held(report.at.wall_ms),
                    confirmed_hash=self.tariffs.confirmed_hash(NUMBER),
                    set_clock=True,
                    open_transaction_nos=tuple(
                        each.transaction_no for each in self.book.open_transactions()
                    ),
                )
                return self._take(self._link.wish(wish, report.at), at_ms)
            case r.LoggedIn():
                self.book.on_logged_in(NUMBER, report.at)
            case r.LinkLost():
                self._apply(self.book.on_lost(NUMBER, report.at))
            case r.ClockRead():
                self.book.on_clock(NUMBER, report.offset_ms)
            case r.TariffHeld():
                self.tariffs.confirm(NUMBER, report.content_hash)
            case r.ConnectorSampled():
                named = self.book.find(NUMBER, report.transaction_no)
                self._apply(self.book.on_sample(report, named) or Effects())
            case r.RecordReceived():
                effects = on_record(self.book, self.alarms, report)
                self._apply(effects)
                return self._take(self._link.committed(effects.confirms[0].token, report.at), at_ms)
        return []

    def _apply(self, effects: Effects) -> None:
        self._disk_before = dict(self._disk)
        for change in effects.changes:
            if isinstance(change, Put):
                self._disk[change.kind, change.key] = change.blob
            else:
                self._disk.pop((change.kind, change.key), None)
        self.telling.ended += [
            each for each in effects.events if isinstance(each, TransactionEnded)
        ]


class _Teller:
    """Plays the charge point's side of the line."""

    def __init__(self, story: Story, lie: Lie) -> None:
        self.story = story
        self._lie = lie
        self.point = HonestChargePoint(story)
        self.telling = Telling(story, self.point)
        self.station = _Station(story, self.telling)
        self.online = False
        self._stored: list[m.Message] = []
        self._sent = 0
        self._arrived_ms = 0
        self._start_mode = _CARD
        self._model_no = self.point.split.model.model_no

    def tell(self) -> Telling:
        """Tell the whole story."""
        for at_ms, _, act in sorted(self._events(), key=lambda event: event[:2]):
            act(at_ms)
        return self.telling

    def _events(self) -> list[tuple[int, int, Any]]:
        """Return what happens when; of one moment in order of the number."""
        story = self.story
        events: list[tuple[int, int, Any]] = [
            (story.start_ms - 60_000, 0, self._first_login),
            (story.start_ms, 5, self._begin),
            (story.end_ms, 7, self._end),
        ]
        if story.new_version is not None:
            events.append((story.at(story.new_version[0]), 4, self._publish))
        at_s, end_s = story.phase_s, (story.end_ms - story.start_ms) / 1000
        while at_s < end_s:
            events.append((story.at(at_s), 6, self._report))
            at_s += story.sample_s
        for outage in story.outages:
            events += self._outage(outage)
        last_ms = max(story.end_ms, *(story.at(o.to_s) for o in story.outages), 0) + 120_000
        events.append((last_ms, 8, self._finish))
        return events

    def _outage(self, outage: Outage) -> list[tuple[int, int, Any]]:
        at = self.story.at
        return [
            (at(outage.from_s), 1, lambda at_ms: self._cut(outage, at_ms)),
            (at(outage.to_s), 2, lambda at_ms: self._come_back(outage, at_ms)),
            (at(outage.to_s + outage.heartbeat_after_s), 3, self._beat),
        ]

    def _first_login(self, at_ms: int) -> None:
        self.station.boot(at_ms)
        self.station.connect()
        self._log_in(at_ms)
        self._beat(at_ms)

    def _begin(self, at_ms: int) -> None:
        self.point.started_ms = at_ms + self.point.ahead_ms
        if self.online:
            self.station.authorize(at_ms)
        else:
            self._start_mode = _OFFLINE_CARD

    def _publish(self, at_ms: int) -> None:
        assert self.story.new_version is not None
        self.station.tariffs.put(self.story.new_version[1])

    def _report(self, at_ms: int) -> None:
        story = self.story
        if any(story.at(a) <= at_ms < story.at(b) for a, b in story.lost):
            return
        if self.online:
            self._send(self.point.sample(at_ms), at_ms)
        elif story.stores and not self._unnoticed(at_ms):
            self._stored.append(self.point.sample(at_ms))

    def _unnoticed(self, at_ms: int) -> bool:
        at = self.story.at
        return any(at(o.from_s) <= at_ms < at(o.from_s + o.unnoticed_s) for o in self.story.outages)

    def _end(self, at_ms: int) -> None:
        self.point.count(at_ms)
        if self.online:
            self._send(self.point.sample(at_ms), at_ms)
            if self.story.ends_idle_first:
                self._send(self.point.sample(at_ms, idle=True), at_ms)
            self._send_record(at_ms)
            self._send(self.point.sample(at_ms, idle=True), at_ms)

    def _send_record(self, at_ms: int) -> None:
        comes = self.story.record_comes or bool(self.telling.ended)
        if comes and self.point.ended_ms and not self.telling.confirmed:
            answers = self._send(self._lie(self.point.record(self._start_mode)), at_ms)
            assert [a.result for a in answers if isinstance(a, m.RecordConfirm)] == [0]
            self.telling.confirmed = True

    def _cut(self, outage: Outage, at_ms: int) -> None:
        self.online = False
        if not outage.restart:
            self.station.lose(max(at_ms, self._arrived_ms))

    def _come_back(self, outage: Outage, at_ms: int) -> None:
        if outage.restart:
            self.station.boot(at_ms, torn=outage.torn)
        self.station.connect()
        self._log_in(at_ms)

    def _log_in(self, at_ms: int) -> None:
        self.online = True
        for answer in self._send(m.Login(NUMBER, 0, 1, 16, "1.0.3", 1, "0" * 20, 4), at_ms):
            if isinstance(answer, m.TimeSync):
                if self.story.obeys:
                    told = answer.current_time.to_utc(self.story.zone, from_ms(at_ms))
                    assert told is not None
                    self.point.set_clock(at_ms, round(told.timestamp() * 1000) - at_ms)
                now = cp56(at_ms + self.point.ahead_ms, self.story.zone)
                self._arrived_ms = at_ms + round(self.story.clock_answer_s * 1000)
                self._send(m.TimeSyncAnswer(NUMBER, now), at_ms)
        answers = self._send(m.TariffCheck(NUMBER, self._model_no), at_ms)
        for stored in self._stored:
            self._send(stored, at_ms)
        self._stored.clear()
        self._send_record(at_ms)
        if [a.result for a in answers if isinstance(a, m.TariffCheckAnswer)] != [0]:
            for answer in self._send(m.TariffRequest(NUMBER), at_ms):
                if isinstance(answer, m.TariffAnswer):
                    self._model_no = answer.tariff_no

    def _beat(self, at_ms: int) -> None:
        if self.online:
            self._send(m.Heartbeat(NUMBER, 1, 0), at_ms)

    def _finish(self, at_ms: int) -> None:
        self._send(m.Heartbeat(NUMBER, 1, 0), at_ms)
        self._send(self.point.sample(at_ms, idle=True), at_ms)
        for after_s in (0, 301, 601):
            self.station.tick(at_ms + after_s * 1000)
        if not self.telling.confirmed and self.story.record_comes_late:
            self._send_record(at_ms + 700_000)

    def _send(self, message: m.Message, at_ms: int) -> list[m.Message]:
        late_s = self.story.late_s[self._sent % len(self.story.late_s)]
        self._sent += 1
        self._arrived_ms = max(self._arrived_ms, at_ms + round(late_s * 1000))
        answers = self.station.hear(message, self._arrived_ms)
        self.station.tick(self._arrived_ms)
        return answers


def tell(story: Story, lie: Lie = lambda record: record) -> Telling:
    """Tell a story from before its start until everything is said; `lie` changes the record."""
    return _Teller(story, lie).tell()


def version_of(tariff: Any, no: int) -> TariffVersion:
    """Return a published version."""
    return TariffVersion(
        tariff_version_id=UUID(int=no),
        version=no,
        model_no=no,
        tariff=tariff,
        valid_from=from_ms(0),
    )
