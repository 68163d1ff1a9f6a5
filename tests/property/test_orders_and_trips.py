"""Whatever HQ orders and lifts, vehicles do and people reset, and whenever the agent dies: latches,
alarms and what the engine keeps on tell the same story, and nobody lifts what is another's.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from edge.local_actions import SiteActions
from edge.local_api import LocalApiError
from edge.safety.hands import ISOLATED
from edge.safety.latches import Latch, Place, place_covers, subject_of
from edge.station.pins import hash_pin
from shared.contracts import commands as c
from shared.contracts import protection as p
from shared.contracts.words import StartMeans
from tests.fakes.field import Field, document, output
from tests.fakes.station_site import CP, CP2, Site

CODE = "emergency_stop"
HOT = "battery_over_temperature"
PIN = "274913"
_PINS = c.PublishPins(version=1, pins=(p.Pin(name="Zhao", role="chief", hash=hash_pin(PIN)),))
_PLANT = document(
    output("siren", zones=("A",)),
    output("k1", p.OutputKind.CONTACTOR, connectors=((CP, 1),)),
)
_PLACES = (("", 0), (CP, 0), (CP, 1), (CP, 2), (CP2, 1))
_TOGETHER = "7" * 17
PLACES = st.sampled_from(_PLACES)
CONNECTORS = st.sampled_from((1, 2))


class OrdersAndTrips(RuleBasedStateMachine):
    """A station with two charge points, a detector, a siren, a contactor, and HQ."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.new_event_loop()
        self._root = Path(tempfile.mkdtemp(prefix="orders-"))
        self._charge_no = 0

    def _run(self, coroutine: Any) -> Any:
        return self._loop.run_until_complete(coroutine)

    def _latches(self) -> set[Latch]:
        return set(self.site.station.latches.all())

    @initialize()
    def begin(self) -> None:
        self.site = self._run(Site.make(self._root))
        self._run(self.site.command(_PINS))
        self._install()

    def _install(self) -> None:
        self.field = Field(self.site)
        self.field.install(_PLANT)
        self.field.calm()

    # What happens

    @rule(place=PLACES)
    def hq_orders(self, place: Place) -> None:
        self._run(
            self.site.command(c.EmergencyStop(charge_point_no=place[0], connector_no=place[1]))
        )
        assert any(each.by_hq for each in self.site.station.latches.at(place))
        for entry in self.site.station.live.all():
            if place_covers(place, entry.connector):
                assert self.site.station.latches.blocks(entry.connector) is not None

    @rule(place=PLACES)
    def hq_resets(self, place: Place) -> None:
        before = self._latches()
        lift = c.ResetEmergencyStop(charge_point_no=place[0], connector_no=place[1])
        self._run(self.site.command(lift))
        gone = before - self._latches()
        assert all(latch.by_hq for latch in gone), "what was set on site is not HQ's to lift"
        left = {each.subject for each in self._latches() if each.by_hq}
        assert subject_of(place) not in left, "with all that it blocked"
        assert not any(each.by_hq for each in self.site.station.latches.at(place))

    @rule(place=PLACES)
    def somebody_resets(self, place: Place) -> None:
        before = self._latches()
        request = {"number": place[0], "connector": place[1], "reason": "looked", "pin": PIN}
        meant = [
            each
            for each in before
            if each.place == place or (not each.by_hq and place_covers(place, each.place))
        ]
        try:
            self._run(SiteActions(self.site.station).reset(request))
        except LocalApiError:
            assert not meant or not all(each.by_hq for each in meant), "an order is no danger"
        here = {(each.cause, each.subject) for each in before if each.place == place}
        gone = before - self._latches()
        assert all((each.cause, each.subject) in here for each in gone if each.by_hq)

    @rule(together=st.booleans(), hot=st.booleans())
    def vehicles_charge(self, together: bool, hot: bool) -> None:
        """They do so by themselves: a charge point that nobody blocks is not what is tried here."""
        for connector_no in (1, 2) if together else (1,):
            self._charge_no += 1
            number = f"{self._charge_no:032d}"
            if (
                CP in self.site.points.online
                and self.site.station.book.on_connector((CP, connector_no)) is None
            ):
                self.site.station.perform(
                    self.site.station.book.open(
                        number,
                        (CP, connector_no),
                        StartMeans.CARD,
                        self.site.at(),
                        parallel_no=_TOGETHER if together else "",
                    )
                )
                degrees = 90 if hot and connector_no == 1 else 30
                self.site.clock.advance(1.0)
                self.site.charging(
                    number, 100, connector_no=connector_no, battery_temp_max_c=degrees
                )

    @rule(connector_no=CONNECTORS)
    def vehicle_leaves(self, connector_no: int) -> None:
        if CP in self.site.points.online:
            self.site.clock.advance(1.0)
            self.site.sample(connector_no=connector_no)

    @rule(smokes=st.booleans())
    def detector_sees(self, smokes: bool) -> None:
        self.field.point("d1", float(smokes))

    @rule(seconds=st.sampled_from((0.5, 7.0, 70.0)))
    def time_passes(self, seconds: float) -> None:
        self.site.clock.advance(seconds)
        self.field.poll()
        self.site.station.tick()

    @rule(goes=st.booleans())
    def link(self, goes: bool) -> None:
        if goes and CP in self.site.points.online:
            self.site.lose()
        elif not goes and CP not in self.site.points.online:
            self.site.log_in()

    @rule()
    def agent_dies(self) -> None:
        self._run(self.site.settle())
        before = self._latches()
        self._run(self.site.crash())
        assert self._latches() == before
        self._install()
        for number in (CP, CP2):
            self.site.log_in(number)

    # What always holds

    @invariant()
    def each_latch_has_its_alarm_and_its_cause(self) -> None:
        station = self.site.station
        for latch in station.latches.all():
            assert station.alarms.is_open(latch.cause, latch.subject), latch
            if latch.cause != ISOLATED:
                cause = station.safety.hands.causes[latch.cause, latch.subject]
                assert latch.place in cause.latched, latch
                assert cause.ordered == latch.by_hq, latch

    @invariant()
    def nothing_stands_without_a_latch(self) -> None:
        station = self.site.station
        places = {(each.place, each.cause, each.subject) for each in station.latches.all()}
        for cause in station.safety.hands.causes.values():
            for place in cause.latched:
                assert (place, *cause.key) in places, cause
        latched = {(each.cause, each.subject) for each in station.latches.all()}
        for alarm in station.alarms.open_alarms():
            if alarm.code in (CODE, HOT, ISOLATED):
                assert (alarm.code, alarm.object) in latched, alarm

    @invariant()
    def the_siren_sounds_while_an_order_stands(self) -> None:
        station = self.site.station
        ordered = [each for each in station.latches.all() if each.by_hq and each.place[0] != CP2]
        if ordered:
            assert self.field.coils["siren"]

    @invariant()
    def what_is_isolated_is_open_and_nothing_else_is(self) -> None:
        station = self.site.station
        wanted = any(
            (latch.cause == ISOLATED or latch.opened) and place_covers(latch.place, (CP, 1))
            for latch in station.latches.all()
        )
        assert self.field.coils.get("k1", False) is wanted

    def teardown(self) -> None:
        if hasattr(self, "site"):
            self._run(self.site.close())
        self._loop.close()
        shutil.rmtree(self._root, ignore_errors=True)


TestOrdersAndTrips = OrdersAndTrips.TestCase
TestOrdersAndTrips.settings = settings(max_examples=20, stateful_step_count=25, deadline=None)
