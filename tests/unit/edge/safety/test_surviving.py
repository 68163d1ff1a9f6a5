"""A bug in one step of protection: all other steps are taken, what tripped is latched, and people
hear of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from edge.devices.chargers import reports as r
from edge.devices.chargers import wishes as w
from edge.devices.chargers.reports import Moment
from edge.safety.causes import Connector
from edge.safety.rules import threshold
from shared.contracts import commands as c
from shared.contracts import protection as p
from shared.contracts.events import AlarmRaised
from tests.fakes.field import Field, document, output
from tests.fakes.station_site import CP, CP2, Site

SIREN = output("siren", zones=("A",))
CONTACTOR = output("k1", p.OutputKind.CONTACTOR, connectors=((CP, 1), (CP, 2)))


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    site = await Site.make(tmp_path)
    yield site
    await site.close()


@pytest.fixture
async def field(site: Site) -> Field:
    field = Field(site)
    field.install(document(SIREN, CONTACTOR))
    field.calm()
    field.pass_s(7.0, field.calm)
    site.points.wishes.clear()
    return field


def is_done(site: Site, field: Field) -> bool:
    """Whether all but what failed was done about smoke in zone A."""
    return field.coils["k1"] and {latch.place for latch in site.station.latches.all()} == {
        (CP, 1),
        (CP, 2),
    }


async def test_one_stop_that_fails_keeps_no_other_connector_charging(
    site: Site, field: Field
) -> None:
    def fails(wish: w.AnyWish) -> None:
        if isinstance(wish, w.StopRemotely) and wish.connector_no == 1:
            raise RuntimeError("bug")

    site.points.on_wish = fails
    field.point("d1", 1.0)
    assert 2 in {wish.connector_no for wish in site.points.of(w.StopRemotely)}
    assert field.coils["siren"]
    assert is_done(site, field)


async def test_one_siren_that_fails_keeps_no_contactor_closed(site: Site, field: Field) -> None:
    def fails(name: str, on: bool, done: Callable[[bool, Moment], None]) -> None:
        if name == "siren":
            raise RuntimeError("bug")
        field.write(name, on, done)

    site.station.safety.hands.write = fails
    field.point("d1", 1.0)
    assert is_done(site, field)


async def test_one_siren_that_fails_keeps_no_other_silent(site: Site) -> None:
    field = Field(site)
    field.install(document(SIREN, output("other", zones=("A",)), CONTACTOR))
    field.calm()

    def fails(name: str, on: bool, done: Callable[[bool, Moment], None]) -> None:
        if name == "siren":
            raise RuntimeError("bug")
        field.write(name, on, done)

    site.station.safety.hands.write = fails
    field.point("d1", 1.0)
    assert field.coils["other"]
    assert is_done(site, field)


async def test_partners_that_cannot_be_found_keep_nothing_else_charging(
    site: Site, field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_connector: Connector) -> Iterable[Connector]:
        raise RuntimeError("bug")

    monkeypatch.setattr(site.station.safety.hands, "_partners", fails)
    field.point("d1", 1.0)
    assert {wish.connector_no for wish in site.points.of(w.StopRemotely)} == {1, 2}
    assert field.coils["siren"]
    assert is_done(site, field)


async def test_rules_that_fail_stop_neither_ladder_nor_outputs(
    site: Site, field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = await site.run()
    field.point("d1", 1.0, quantity=p.Quantity.TRANSFORMER_DOOR_OPEN, point="door")

    def fails(_now: Moment) -> None:
        raise RuntimeError("bug")

    monkeypatch.setattr(site.station.safety._rules, "tick", fails)
    field.pass_s(9.0, lambda: site.charging(number, 100))
    assert field.coils["k1"], "the ladder stood still"


SMOKE = p.Select(quantity=p.Quantity.SMOKE)
GOOD = p.Threshold(rule_id="good", code="smoke", select=SMOKE, above=0.5)
WRONG: Any = "wrong"
"""No check lets it through; here something did."""
BAD = "rule:bad"
BAD_RULES = {
    "value": p.Threshold(rule_id="bad", code="water", select=SMOKE, above=WRONG),
    "made": p.Vote(rule_id="bad", code="water", select=SMOKE, of=WRONG),
    "time": p.Silence(rule_id="bad", code="detector_fault", select=SMOKE, for_s=WRONG),
    "hold": p.Threshold(rule_id="bad", code="water", select=SMOKE, below=0.5, hold_s=WRONG),
}


def degraded(site: Site) -> set[str]:
    return {
        each.object
        for each in site.station.alarms.open_alarms()
        if each.code == "protection_degraded"
    }


@pytest.mark.parametrize("how", BAD_RULES)
async def test_a_rule_that_fails_is_one_alarm_and_disturbs_no_other(
    site: Site, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    field = Field(site)
    field.install(document(SIREN, CONTACTOR, rules=(BAD_RULES[how], GOOD)))
    field.pass_s(6.0, field.calm)
    assert degraded(site) == {BAD}
    (shown,) = [each for each in site.station.screen.alarms() if each.object == BAD]
    assert (shown.title_zh, shown.title_en) == (
        "安全保护降级: bad",
        "Protection degraded: bad",
    )
    assert (shown.place_zh, shown.place_en) == ("规则 bad", "Rule bad")
    assert site.station.safety.proof.views(site.at())[0].ok
    await site.settle()
    told = [each.object for each in site.told(AlarmRaised) if each.code == "protection_degraded"]
    assert told == [BAD]
    logged = [each for each in caplog.records if BAD in each.getMessage()]
    assert len(logged) == 1
    assert logged[0].exc_info, "with where it failed"
    field.point("d1", 1.0)
    assert field.coils["siren"]
    assert is_done(site, field)
    field.install(document(SIREN, CONTACTOR, rules=(GOOD,)))
    field.pass_s(12.0, field.calm)
    assert degraded(site) == set()


async def test_a_rule_that_fails_with_time_holds_no_other_up(site: Site) -> None:
    slow = p.Threshold(rule_id="slow", code="smoke", select=SMOKE, above=0.5, hold_s=1.0)
    field = Field(site)
    field.install(document(SIREN, CONTACTOR, rules=(BAD_RULES["hold"], slow)))
    field.calm()
    # It goes on waiting in the next document, where nothing of it has changed.
    field.install(document(SIREN, CONTACTOR, rules=(BAD_RULES["hold"], slow)))
    field.point("d1", 1.0)
    field.pass_s(1.5)
    assert is_done(site, field)
    assert BAD in degraded(site)


async def test_a_rule_that_fails_now_and_then_is_an_alarm_until_it_has_worked_for_a_while(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    field = Field(site)
    field.install(document(SIREN, rules=(BAD_RULES["value"],)))
    field.pass_s(6.0, lambda: (field.point("d1", 0.0), field.point("d1", None)))
    field.pass_s(5.0, lambda: field.point("d1", None))
    assert degraded(site) >= {BAD}
    field.pass_s(7.0, lambda: field.point("d1", None))
    assert BAD not in degraded(site)
    assert len([each for each in caplog.records if BAD in each.getMessage()]) == 1


async def test_a_rule_that_fails_at_one_place_is_not_well_because_it_works_at_another(
    site: Site,
) -> None:
    field = Field(site)
    field.install(document(SIREN, rules=(BAD_RULES["value"],)))
    field.pass_s(1.5, lambda: field.point("d1", 0.0))
    field.pass_s(30.0, lambda: field.point("d2", None))
    assert BAD in degraded(site)


async def test_a_finding_without_words_trips_all_the_same(
    site: Site, field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_judge: threshold.Judge) -> tuple[str, str]:
        raise RuntimeError("bug")

    monkeypatch.setattr(threshold.Judge, "shown", fails)
    field.point("d1", 1.0)
    assert field.coils["siren"]
    assert is_done(site, field)


STEPS = {
    "rules": "_rules.tick",
    "ladder": "_climb",
    "outputs": "outputs.tick",
    "proof": "proof.tick",
    "trips": "hands.forget_trips",
    "causes": "_make_sure",
    "channels": "watch.look",
    "speech": "watch.tick",
}


@pytest.mark.parametrize("name", STEPS)
async def test_a_step_that_fails_is_an_alarm_until_it_works_again(
    site: Site,
    field: Field,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
) -> None:
    def fails(_now: Moment) -> None:
        raise RuntimeError("bug")

    *holders, last = STEPS[name].split(".")
    holder: object = site.station.safety
    for each in holders:
        holder = getattr(holder, each)
    with monkeypatch.context() as patch:
        patch.setattr(holder, last, fails)
        field.pass_s(4.0, field.calm)
        assert f"step:{name}" in degraded(site)
        field.point("d1", 1.0)
        assert is_done(site, field)
    field.pass_s(12.0, field.calm)
    assert f"step:{name}" not in degraded(site)
    assert len([each for each in caplog.records if each.levelname == "ERROR"]) == 1


async def test_a_battery_that_cannot_be_judged_is_an_alarm_and_its_other_values_count(
    site: Site, field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_report: r.BmsSampled) -> Iterable[object]:
        raise RuntimeError("bug")

    safety = site.station.safety
    with monkeypatch.context() as patch:
        patch.setattr(safety._battery, "on_bms", fails)
        for _ in range(3):
            site.bus.publish(r.BmsSampled(site.at(), CP, 1, "", 1, 30, 1, 20, 1, 0, 0))
            field.pass_s(1.0, field.calm)
        assert degraded(site) == {"step:battery"}
        assert site.station.alarms.is_open("charging_forbidden", f"connector:{CP}:1")
    site.bus.publish(r.BmsSampled(site.at(), CP, 1, "", 1, 30, 1, 20, 1, 0, 0))
    field.pass_s(12.0, field.calm)
    assert degraded(site) == set()


async def test_what_failed_at_a_charge_point_that_is_gone_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = (c.ChargePointConfig(charge_point_no=number) for number in (CP, CP2))
    site = await Site.make(tmp_path, configs=(one,))
    await site.command(c.PublishRegistry(version=1, charge_points=(one, two)))
    site.log_in(CP2)
    field = Field(site)
    field.install(document(SIREN))

    def fails(_report: r.BmsSampled) -> Iterable[object]:
        raise RuntimeError("bug")

    with monkeypatch.context() as patch:
        patch.setattr(site.station.safety._battery, "on_bms", fails)
        site.bus.publish(r.BmsSampled(site.at(), CP2, 1, "", 1, 30, 1, 20, 1, 0, 0))
    field.pass_s(2.0, field.calm)
    assert degraded(site) == {"step:battery"}
    await site.command(c.PublishRegistry(version=2, charge_points=(one,)))
    site.lose(CP2)
    field.pass_s(12.0, field.calm)
    assert degraded(site) == set()
    await site.close()
