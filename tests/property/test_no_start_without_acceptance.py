"""Whatever sensors, batteries and rule sets do: nothing starts that nobody asked for, and no trip
is forgotten.

A real station behind a real gateway on a real socket. The model is what the charge point's end of
the wire and the people on site know: who asked to charge, what HQ ordered, what was reset, what was
unplugged.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Any
from uuid import uuid4

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from msgspec import structs

from edge.bus import EventBus
from edge.devices.chargers.gateway import ChargerGateway
from edge.devices.chargers.timing import FAST
from edge.devices.chargers.ykc import messages as m
from edge.devices.chargers.ykc.connection import YkcConnection
from edge.devices.chargers.ykc.frames import Frame
from edge.devices.sensors.reports import PointSampled
from edge.safety.latches import Latch
from shared.contracts import commands as c
from shared.contracts import protection as p
from shared.contracts.events import Token
from shared.contracts.words import TokenKind
from tests.component.gateway_support import NO_TX, ZONE, Charger, MemoryLog, realtime
from tests.fakes.station_site import CARD, CP, Site

Connector = tuple[str, int]
_STEPPED = structs.replace(FAST, tick_s=3600.0)
"""The clock here jumps; the gateway looks at it when told, not in the middle of a jump."""
_CONNECTORS = (1, 2)
_PARALLEL_NO = "261123000001"
_STARTS = (0x34, 0xA4)
_ANSWERS: dict[int, type[m.StartRequestAnswer] | type[m.ParallelStartRequestAnswer]] = {
    0x32: m.StartRequestAnswer,
    0xA2: m.ParallelStartRequestAnswer,
}
_DEVICES = ("smoke-1", "heat-1", "water-1")
_OF_SENSORS = (
    p.Quantity.SMOKE,
    p.Quantity.TEMPERATURE_C,
    p.Quantity.WATER,
    p.Quantity.EMERGENCY_BUTTON,
    p.Quantity.DETECTOR_FAULT,
)
_OF_CARS = (
    p.Quantity.BATTERY_TEMP_MAX_C,
    p.Quantity.CABLE_TEMP_C,
    p.Quantity.OUTPUT_CURRENT_A,
    p.Quantity.CHARGING_FORBIDDEN,
)
_CODES = ("smoke", "heat", "water", "emergency_button", "cable_over_temperature")

_ACCESS = c.PublishAccessList(
    version=1,
    entries=(c.AccessEntry(token=Token(TokenKind.CARD, CARD), limit_fen=2_000_000_000),),
)
"""A card that may always charge: what refuses it here is safety alone."""

_select = st.builds(
    p.Select,
    quantity=st.sampled_from(_OF_SENSORS + _OF_CARS),
    zone=st.sampled_from(("", "A")),
)
_common: dict[str, Any] = {
    "code": st.sampled_from(_CODES),
    "select": _select,
    "hold_s": st.sampled_from((0.0, 0.0, 2.0)),
    "clear_s": st.sampled_from((0.0, 5.0)),
}
_limit = st.sampled_from((-10.0, 0.5, 50.0))
_rules = st.lists(
    st.one_of(
        st.builds(p.Threshold, rule_id=st.just(""), above=_limit, **_common),
        st.builds(p.Vote, rule_id=st.just(""), above=_limit, needed=st.just(2), **_common),
        st.builds(p.Silence, rule_id=st.just(""), for_s=st.sampled_from((0.5, 20.0)), **_common),
        st.builds(
            p.Rate,
            rule_id=st.just(""),
            per_s=st.sampled_from((0.1, -0.1, 5.0)),
            window_s=st.just(10.0),
            **_common,
        ),
    ),
    max_size=5,
)
_rows = st.lists(
    st.builds(
        p.Interlock,
        cause=st.sampled_from(_CODES[:3]),
        stop=st.sampled_from(p.Reach),
        reset=st.sampled_from(p.Reset),
        sirens=st.booleans(),
        no_new_starts=st.booleans(),
    ),
    unique_by=lambda row: row.cause,
    max_size=3,
)


def _document(rules: list[p.AnyRule], rows: list[p.Interlock]) -> p.Protection:
    named = tuple(
        type(each)(**{**_fields(each), "rule_id": f"rule-{index}"})
        for index, each in enumerate(rules)
    )
    return p.Protection(
        devices=tuple(
            p.Device(name=name, line="bus", unit_id=index, profile="any", zone="A")
            for index, name in enumerate(_DEVICES, 1)
        ),
        zones=(p.Zone(name="A", connectors=((CP, 1),)),),
        rules=named or None,
        interlocks=tuple(rows) or None,
    )


def _fields(struct: Any) -> dict[str, Any]:
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


class WireSite(Site):
    """The station of the tests, behind a real gateway."""

    gateway: ChargerGateway

    def open(self) -> None:
        super().open()
        self.bus = EventBus(self.clock)
        self.gateway = ChargerGateway(
            new_connection=lambda link, address: YkcConnection(link, address, ZONE, _STEPPED),
            bus=self.bus,
            frame_log=MemoryLog(),
            clock=self.clock,
            timing=_STEPPED,
        )
        self.station.connect(self.gateway, self.bus)


class Danger(RuleBasedStateMachine):
    """One charge point with two connectors, in a place where anything may happen."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.new_event_loop()
        self._root = Path(tempfile.mkdtemp(prefix="danger-"))
        self._document = p.Protection()
        self._asked = dict.fromkeys(_CONNECTORS, 0)
        self._ordered = dict.fromkeys(_CONNECTORS, 0)
        self._running = dict.fromkeys(_CONNECTORS, NO_TX)
        self._unplugged: set[int] = set()
        self._reset: set[tuple[str, int]] = set()
        self._latches: list[Latch] = []
        self._facts_seen = 0

    def _run(self, coroutine: Any) -> Any:
        return self._loop.run_until_complete(coroutine)

    @initialize()
    def begin(self) -> None:
        self.site = self._run(WireSite.make(self._root, login=False, access=_ACCESS))
        self.site.hq_up = True
        self._run(self._log_in())
        self._check()

    async def _log_in(self) -> None:
        _, port = await self.site.gateway.serve("127.0.0.1", 0)
        self.link = Charger(port)
        await self.link.__aenter__()
        await self.link.log_in(CP)
        await self._heard()

    # What happens

    @rule(connector_no=st.sampled_from(_CONNECTORS), parallel=st.booleans())
    def swipe(self, connector_no: int, parallel: bool) -> None:
        self._asked[connector_no] += 1
        values = (CP, connector_no, 1, 0, CARD.lower(), "", "0" * 17)
        if parallel:
            self.link.send(m.ParallelStartRequest(*values, 0, _PARALLEL_NO))
        else:
            self.link.send(m.StartRequest(*values))
        self._check()

    @rule(connector_no=st.sampled_from(_CONNECTORS), parallel=st.booleans())
    def order(self, connector_no: int, parallel: bool) -> None:
        self._ordered[connector_no] += 1
        order = c.StartTransaction(
            order_id=uuid4(),
            charge_point_no=CP,
            connector_no=connector_no,
            parallel_no=_PARALLEL_NO if parallel else "",
        )
        self._run(self.site.command(order))
        self._check()

    @rule(
        connector_no=st.sampled_from(_CONNECTORS),
        plugged_in=st.sampled_from((0, 1, 1)),
        charging=st.booleans(),
        current_da=st.sampled_from((0, 5, 1200)),
        battery_raw=st.sampled_from((0, 80, 120)),
        cable_raw=st.sampled_from((0, 75, 200)),
    )
    def sample(
        self,
        connector_no: int,
        plugged_in: int,
        charging: bool,
        current_da: int,
        battery_raw: int,
        cable_raw: int,
    ) -> None:
        charging = charging and bool(plugged_in)
        if not plugged_in and current_da < 10:
            self._unplugged.add(connector_no)
            self._running[connector_no] = NO_TX
        self.link.send(
            realtime(
                CP, self._running[connector_no], 3 if charging else 2, connector_no=connector_no,
                plugged_in=plugged_in, current_da=current_da, battery_temp_max_raw=battery_raw,
                cable_temp_raw=cable_raw,
            )
        )  # fmt: skip
        self._check()

    @rule(
        connector_no=st.sampled_from(_CONNECTORS),
        hottest_raw=st.sampled_from((0, 70, 90, 120)),
        status_1=st.sampled_from((0, 1, 0xFF)),
        status_2=st.sampled_from((0x10, 0, 0xFF)),
    )
    def battery(self, connector_no: int, hottest_raw: int, status_1: int, status_2: int) -> None:
        tx = self._running[connector_no]
        values = (0, hottest_raw, 7, 60, 21, status_1, status_2)
        self.link.send(m.BmsStatus(tx, CP, connector_no, *values))
        self._check()

    @rule(
        device=st.sampled_from(_DEVICES),
        quantity=st.sampled_from(_OF_SENSORS),
        value=st.sampled_from((0.0, 1.0, 20.0, 60.0, 200.0, None)),
        times=st.integers(1, 4),
    )
    def sense(self, device: str, quantity: p.Quantity, value: float | None, times: int) -> None:
        quality = p.Quality.NO_ANSWER if value is None else p.Quality.GOOD
        for _ in range(times):
            self.site.clock.advance(0.1)
            report = PointSampled(self.site.at(), device, "point", quantity, value, quality)
            self.site.bus.publish(report)
        self._check()

    @rule(rules=_rules, rows=_rows)
    def publish(self, rules: list[p.AnyRule], rows: list[p.Interlock]) -> None:
        self._document = _document(rules, rows)
        self.site.station.safety.activate(self._document, self.site.at())
        self._check()

    @rule(seconds=st.sampled_from((0.2, 1.0, 7.0, 61.0)))
    def wait(self, seconds: float) -> None:
        self.site.clock.advance(seconds)
        self.site.station.tick()
        self.site.station.safety.tick(self.site.at())
        self._check()  # with a sign of life of the charge point
        self._run(self._look_at_the_clock())
        self._check()

    async def _look_at_the_clock(self) -> None:
        self.site.gateway._tick()

    @rule(connector_no=st.sampled_from((0, *_CONNECTORS)))
    def person_resets(self, connector_no: int) -> None:
        station, place = self.site.station, (CP, connector_no)
        for latch in station.latches.at(place):
            # Whoever looked at a cause lifts it also where it charges the same vehicle.
            cause = (latch.cause, latch.subject)
            everywhere = station.latches.all()
            self._reset |= {
                each.place for each in everywhere if (each.cause, each.subject) == cause
            }
            station.perform(station.guard.release(latch, self.site.at(), "looked", "someone"))
        self._check()

    @rule()
    def restart(self) -> None:
        self.link.writer.close()
        self._run(self.site.gateway.close())
        self._run(self.site.restart())
        self.site.station.safety.activate(self._document, self.site.at())
        self._run(self._log_in())
        self._asked = dict.fromkeys(_CONNECTORS, 0)
        self._check()

    # What holds

    async def _heard(self) -> list[Frame]:
        """Return what came up to now: an answered heartbeat is behind all of it."""
        await self.site.settle()
        self.link.send(m.Heartbeat(CP, 1, 0))
        frames: list[Frame] = []
        while m.HeartbeatAnswer.KIND not in {each.kind for each in frames}:
            async with asyncio.timeout(10):
                data = await self.link._reader.read(4096)
            assert data, "closed by the station"
            frames += [each for each in self.link._frames.feed(data) if isinstance(each, Frame)]
        return frames

    def _check(self) -> None:
        before = list(self._latches)
        frames = self._run(self._heard())
        self._check_latches(before)
        blocked = {latch.place for latch in before} & {latch.place for latch in self._latches}
        for frame in frames:
            self._check_frame(frame, blocked)
        self._unplugged.clear()
        self._reset.clear()
        assert not any(self.site.bus.failures().values())

    def _check_latches(self, before: list[Latch]) -> None:
        self._latches = self.site.station.latches.all()
        standing = {(latch.place, latch.cause) for latch in self._latches}
        for latch in before:
            unplugged = latch.until_unplugged and latch.place[1] in self._unplugged
            if (latch.place, latch.cause) not in standing:
                assert latch.place in self._reset or unplugged, f"{latch} was lifted by nobody"

    def _check_frame(self, frame: Frame, blocked: set[tuple[str, int]]) -> None:
        if frame.kind in _STARTS:
            start = (m.RemoteStart if frame.kind == 0x34 else m.ParallelRemoteStart).parse(
                frame.body
            )
            self._ordered[start.connector_no] -= 1
            assert self._ordered[start.connector_no] >= 0, "started, and HQ had not ordered it"
            self._started(start.connector_no, start.transaction_no, blocked)
        elif frame.kind in _ANSWERS:
            answer = _ANSWERS[frame.kind].parse(frame.body)
            self._asked[answer.connector_no] -= 1
            assert self._asked[answer.connector_no] >= 0, "answered, and nobody had asked"
            if answer.authorized:
                self._started(answer.connector_no, answer.transaction_no, blocked)

    def _started(self, connector_no: int, tx: str, blocked: set[tuple[str, int]]) -> None:
        places = {(CP, connector_no), (CP, 0), ("", 0)}
        assert not places & blocked, f"started on a blocked connector: {blocked}"
        self._running[connector_no] = tx

    def teardown(self) -> None:
        if hasattr(self, "site"):
            self.link.writer.close()
            self._run(self.site.gateway.close())
            self._run(self.site.close())
        self._run(self._loop.shutdown_default_executor())
        self._loop.close()
        shutil.rmtree(self._root)


TestDanger = Danger.TestCase
TestDanger.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, derandomize=True
)


def test_the_model_sees_starts_trips_and_refusals() -> None:
    """What holds of nothing proves nothing: a start, a trip by smoke and a refusal are seen."""
    world = Danger()
    try:
        world.begin()
        world.swipe(1, parallel=False)
        assert world._running[1] != NO_TX
        world.order(2, parallel=False)
        assert world._running[2] != NO_TX
        world.sense("smoke-1", p.Quantity.SMOKE, 1.0, 1)
        assert {latch.cause for latch in world._latches} == {"smoke"}
        world._running[1] = NO_TX
        world.sample(1, 0, False, 0, 0, 0)
        world.swipe(1, parallel=True)
        assert world._running[1] == NO_TX
        world.restart()
        assert {latch.cause for latch in world._latches} == {"smoke"}
    finally:
        world.teardown()
