"""A bug in one step of protection: all other steps are taken, and what tripped is latched."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

import pytest

from edge.devices.chargers import wishes as w
from edge.devices.chargers.reports import Moment
from edge.safety.causes import Connector
from shared.contracts import protection as p
from tests.fakes.field import Field, document, output
from tests.fakes.station_site import CP, Site

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
