"""A folder of the frame log, replayed into an empty station: what would it make of these frames?

What charge points said goes through the same conversation and the same station as it did on the
day; the clock shows the times of the lines. What the station decided then with knowledge that no
frame carries (who may charge, which tariff) is taken from the frames that it sent.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple
from uuid import NAMESPACE_URL, uuid5
from zoneinfo import ZoneInfo

from edge.bus import EventBus
from edge.devices.chargers import reports as r
from edge.devices.chargers import wishes as w
from edge.devices.chargers.protocol import Logged, Received
from edge.devices.chargers.timing import Timing as WireTiming
from edge.devices.chargers.ykc import messages
from edge.devices.chargers.ykc.connection import YkcConnection
from edge.devices.chargers.ykc.frames import Frame, FrameReader
from edge.frame_files import day_paths, read_day
from edge.journal import Journal
from edge.safety.ladder import Rungs
from edge.station.access import Caps
from edge.station.core import Station
from edge.station.export import export_lines
from edge.station.timing import Timing
from shared.clock import from_ms, to_ms
from shared.contracts.commands import ChargePointConfig
from shared.contracts.events import Token
from shared.contracts.words import RefusalReason, StartMeans, TokenKind
from shared.errors import MalformedMessageError
from shared.tariff import PERIODS, PeriodPrice, Tariff, TariffVersion

_NUMBER_DIGITS = 14
_COMMIT_EVERY = 500
_FINE_TICKS = 120
_COARSE_TICK_S = 15.0
_KIND_AT = 5
_LOGIN = 0x01
_SAME = 0
_TARIFFS = (messages.TariffAnswer.KIND, messages.TariffSet.KIND)
_MEANS = {
    TokenKind.CARD: StartMeans.CARD,
    TokenKind.VIN: StartMeans.VIN,
    TokenKind.ACCOUNT: StartMeans.ACCOUNT,
}


class Line(NamedTuple):
    """One frame of the log."""

    at: datetime
    charge_point_no: str
    direction: str
    raw: bytes


class Setting(NamedTuple):
    """What the frames do not say of the station that wrote them.

    `scale` is how fast its wall clock ran, 1 outside a demo.
    """

    zone: str
    timing: Timing
    wire_timing: WireTiming
    scale: float
    charge_points: tuple[ChargePointConfig, ...] = ()


class ReplayClock:
    """Shows the times of the lines; monotonic time passes only forwards, as it did."""

    def __init__(self, start: datetime, scale: float) -> None:
        self._ms = to_ms(start)
        self._mono_s = 0.0
        self._scale = scale

    def now(self) -> datetime:
        """Return the time of the line."""
        return from_ms(self._ms)

    def now_ms(self) -> int:
        """Return the time of the line in UTC milliseconds."""
        return self._ms

    def now_us(self) -> int:
        """Return the time of the line in UTC microseconds."""
        return self._ms * 1000

    def monotonic_s(self) -> float:
        """Return the real seconds that passed on the day."""
        return self._mono_s

    def gap_s(self, at: datetime) -> float:
        """Return the real seconds to a later line; a clock that was set back leaves none."""
        return max(to_ms(at) - self._ms, 0) / 1000 / self._scale

    def pass_s(self, seconds: float) -> None:
        """Let real seconds pass."""
        self._ms += round(seconds * 1000 * self._scale)
        self._mono_s += seconds

    def reach(self, at: datetime) -> None:
        """Go to the time of a line."""
        self._mono_s += self.gap_s(at)
        self._ms = to_ms(at)


def read_lines(root: Path) -> Iterator[Line]:
    """Yield the frames of all numbers in order of time, each number's in order of its file."""
    numbers = sorted(
        path.name
        for path in root.iterdir()
        if path.is_dir() and len(path.name) == _NUMBER_DIGITS and path.name.isdigit()
    )
    yield from heapq.merge(*(_lines_of(root, number) for number in numbers), key=lambda x: x.at)


def _lines_of(root: Path, number: str) -> Iterator[Line]:
    for _, path in day_paths(root, number):
        for at, direction, raw in read_day(path):
            if direction != Logged.GARBAGE:
                yield Line(at, number, direction, raw)


class Outcome(NamedTuple):
    """What was read and what came of it."""

    frames: int
    charge_points: int
    first_at: datetime
    last_at: datetime
    export: list[str]


class _Overview(NamedTuple):
    first: Line
    last: Line
    lines: int
    numbers: tuple[str, ...]
    tariffs: tuple[TariffVersion, ...]


def _look_over(root: Path) -> _Overview | None:
    """Count the lines and find the tariffs; the first is taken as valid from the beginning."""
    first, last, count = None, None, 0
    numbers: dict[str, None] = {}
    tariffs: dict[str, TariffVersion] = {}
    for line in read_lines(root):
        first, last, count = first or line, line, count + 1
        numbers[line.charge_point_no] = None
        if line.direction == Logged.OUT and line.raw[_KIND_AT] in _TARIFFS:
            model_no, tariff = _tariff(line.raw)
            valid_from = line.at if tariffs else from_ms(0)
            content_hash = tariff.content_hash()
            tariffs.setdefault(
                content_hash,
                TariffVersion(
                    tariff_version_id=uuid5(NAMESPACE_URL, content_hash),
                    version=len(tariffs) + 1,
                    model_no=model_no,
                    tariff=tariff,
                    valid_from=valid_from,
                ),
            )
    if first is None or last is None:
        return None
    return _Overview(first, last, count, tuple(numbers), tuple(tariffs.values()))


def _tariff(raw: bytes) -> tuple[int, Tariff]:
    body = _parse(raw)
    assert isinstance(body, messages.TariffBody)
    prices = {
        period: PeriodPrice(
            getattr(body, f"{period}_energy_price_e5"), getattr(body, f"{period}_service_price_e5")
        )
        for period in PERIODS
    }
    return int(body.tariff_no), Tariff(body.slot_letters, prices)


def _parse(raw: bytes) -> messages.Message | None:
    for item in FrameReader().feed(raw, 0.0):
        if isinstance(item, Frame):
            try:
                return messages.parse(item.kind, item.body)
            except MalformedMessageError:
                return None
    return None


class Player:
    """An empty station, and the conversations that its charge points had with it."""

    def __init__(self, folder: Path, overview: _Overview, setting: Setting) -> None:
        """Open a journal in `folder`; runs on the event loop."""
        self.clock = ReplayClock(overview.first.at, setting.scale)
        self.journal = Journal.open(folder / "station.db", self.clock)
        self._setting = setting
        self._zone = ZoneInfo(setting.zone)
        known = {config.charge_point_no for config in setting.charge_points}
        self.station = Station(
            station_no="replay",
            version="replay",
            clock=self.clock,
            zone_name=setting.zone,
            journal=self.journal,
            add_sample=lambda _: None,
            timing=setting.timing,
            rungs=Rungs(),
            caps=Caps(token_fen=0, station_fen=0),
            local_charge_points=(
                *setting.charge_points,
                *(
                    ChargePointConfig(charge_point_no=number)
                    for number in overview.numbers
                    if number not in known
                ),
            ),
            local_tariff=None,
            hq_reachable=lambda: False,
            fetch_frames=lambda _file, _first, _last: b"",
        )
        self._hashes: dict[int, str] = {}
        for version in overview.tariffs:
            self.station.tariffs.put(version)
            self._hashes.setdefault(version.model_no, version.tariff.content_hash())
        self._bus: EventBus[r.AnyReport] = EventBus(self.clock)
        self.station.connect(self, self._bus)
        self.station.start()
        self._connections: dict[str, YkcConnection] = {}
        self._last_link_id = 0
        self._requests: dict[tuple[str, int], r.StartRequested] = {}
        self._pushed: dict[str, str] = {}

    # What the station sees as its gateway

    def send(self, wish: w.AnyWish) -> bool:
        """Take a wish of the station; what it led to on the day is in the log."""
        number = wish.charge_point_no
        if isinstance(wish, w.CloseLink):
            self._close(number, wish.reason)
        return number in self._connections

    def decide_login(self, wish: w.DecideLogin) -> bool:
        """Let everybody in who was let in on the day; tariffs are followed frame by frame."""
        connection = self._connections.get(wish.charge_point_no)
        if connection is None:
            return False
        let_in = w.DecideLogin(
            charge_point_no=wish.charge_point_no,
            link_id=wish.link_id,
            accepted=True,
            config=wish.config,
            open_transaction_nos=wish.open_transaction_nos,
        )
        self._hear(wish.charge_point_no, connection.wish(let_in, self._moment()))
        return True

    def confirm(self, charge_point_no: str, token: int) -> bool:
        """Nobody waits for it any more."""
        del token
        return charge_point_no in self._connections

    # Playing

    def play(self, line: Line) -> None:
        """Let time pass up to a line, then have it happen."""
        self._wait(line.at)
        self.clock.reach(line.at)
        if line.direction == Logged.IN:
            self._came_in(line)
        else:
            self._went_out(line)

    def _wait(self, at: datetime) -> None:
        ticks = 0
        while (gap_s := self.clock.gap_s(at)) > 0:
            # Nothing happens in a long silence that a second more or less would change.
            step_s = 1.0 if ticks < _FINE_TICKS else _COARSE_TICK_S
            self.clock.pass_s(min(gap_s, step_s))
            if gap_s < step_s:
                return
            ticks += 1
            self._tick()

    def _tick(self) -> None:
        now = self._moment()
        for number, connection in list(self._connections.items()):
            self._hear(number, connection.tick(now))
        self.station.safety.tick(now)
        self.station.tick()

    def _came_in(self, line: Line) -> None:
        number = line.charge_point_no
        if line.raw[_KIND_AT] == _LOGIN:
            self._close(number, "evicted")
            self._last_link_id += 1
            self._connections[number] = YkcConnection(
                self._last_link_id, "", self._zone, self._setting.wire_timing
            )
        connection = self._connections.get(number)
        if connection is None:
            return
        self._hear(number, connection.receive(line.raw, self._moment()))
        message = _parse(line.raw)
        if isinstance(message, messages.TariffSetAnswer) and message.result == 1:
            self._hold(number, self._pushed.pop(number, ""))

    def _went_out(self, line: Line) -> None:
        message = _parse(line.raw)
        number = line.charge_point_no
        match message:
            case messages.TariffBody():
                model_no, tariff = _tariff(line.raw)
                self._hashes[model_no] = tariff.content_hash()
                self._pushed[number] = self._hashes[model_no]
            case messages.TariffCheckAnswer() if message.result == _SAME:
                self._hold(number, self._hashes.get(int(message.tariff_no), ""))
            case messages.StartRequestAnswer() | messages.ParallelStartRequestAnswer():
                if message.authorized == 1:
                    self._permit(message)
            case messages.RemoteStart() | messages.ParallelRemoteStart():
                self._start_remotely(message)
            case _:
                pass

    def _hold(self, number: str, content_hash: str) -> None:
        if content_hash:
            self._bus.publish(r.TariffHeld(self._moment(), number, 0, content_hash))

    def _permit(
        self, message: messages.StartRequestAnswer | messages.ParallelStartRequestAnswer
    ) -> None:
        number, connector_no = message.charge_point_no, message.connector_no
        request = self._requests.pop((number, connector_no), None)
        if request is None:
            return
        self.station.perform(
            self.station.book.open(
                message.transaction_no,
                (number, connector_no),
                _MEANS[request.token_kind],
                self._moment(),
                token=Token(request.token_kind, request.token),
                parallel_no=request.parallel_no,
                raw=request.raw,
            )
        )
        answer = w.AnswerStart(
            charge_point_no=number,
            request_no=request.request_no,
            connector_no=connector_no,
            accepted=True,
            reason=RefusalReason.NONE,
            transaction_no=message.transaction_no,
            balance_fen=message.balance_fen,
        )
        self._wish(answer)

    def _start_remotely(self, message: messages.RemoteStart | messages.ParallelRemoteStart) -> None:
        connector = message.charge_point_no, message.connector_no
        parallel_no = ""
        if isinstance(message, messages.ParallelRemoteStart):
            parallel_no = message.parallel_no
        self.station.perform(
            self.station.book.open(
                message.transaction_no,
                connector,
                StartMeans.REMOTE,
                self._moment(),
                parallel_no=parallel_no,
            )
        )
        self._wish(
            w.StartRemotely(
                charge_point_no=connector[0],
                connector_no=connector[1],
                transaction_no=message.transaction_no,
                balance_fen=message.balance_fen,
                parallel_no=parallel_no,
            )
        )

    def _wish(self, wish: w.AnyWish) -> None:
        if connection := self._connections.get(wish.charge_point_no):
            self._hear(wish.charge_point_no, connection.wish(wish, self._moment()))

    def _hear(self, number: str, received: Received) -> None:
        for report in received.reports:
            if isinstance(report, r.StartRequested):
                # Who was permitted then is in the answer.
                self._requests[report.charge_point_no, report.connector_no] = report
            else:
                self._bus.publish(report)
        if received.close_reason:
            self._close(number, received.close_reason)

    def _close(self, number: str, reason: str) -> None:
        connection = self._connections.pop(number, None)
        if connection is not None:
            for report in connection.lost(reason, self._moment()).reports:
                self._bus.publish(report)

    def _moment(self) -> r.Moment:
        return r.Moment(self.clock.now_ms(), self.clock.monotonic_s())


async def replay(
    root: Path, folder: Path, setting: Setting, progress: Callable[[int, int], None]
) -> Outcome | None:
    """Replay a frame log and return the export of the station that comes of it.

    None: there are no frames.

    Args:
        root: The folder `frames` of a station.
        folder: An empty folder for the station.
        setting: What the frames do not say.
        progress: Told (lines played, all lines) now and then.
    """
    overview = _look_over(root)
    if overview is None:
        return None
    player = Player(folder, overview, setting)
    try:
        for count, line in enumerate(read_lines(root), 1):
            player.play(line)
            if count % _COMMIT_EVERY == 0:
                # Never more in memory than the disk can take.
                await player.journal.commit([])
                progress(count, overview.lines)
        await player.journal.commit([])
        progress(overview.lines, overview.lines)
        return Outcome(
            overview.lines,
            len(overview.numbers),
            overview.first.at,
            overview.last.at,
            list(export_lines(player.station.book.closed.all())),
        )
    finally:
        await player.journal.close()
