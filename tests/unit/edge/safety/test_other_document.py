"""Another document while something stands: what a trip opened stays open, nothing else opens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.contracts import protection as p
from tests.fakes.field import Field, document, output
from tests.fakes.station_site import CP, CP2, Site

SIREN = output("siren", zones=("A",))
K1 = output("k1", p.OutputKind.CONTACTOR, connectors=((CP, 1),))
K2 = output("k2", p.OutputKind.CONTACTOR, connectors=((CP, 2),))
K3 = output("k3", p.OutputKind.CONTACTOR, connectors=((CP2, 1), (CP2, 2)))
PLANT = document(SIREN, K1, K2, K3)
MOVED = (
    p.Zone(name="A", connectors=((CP2, 1),)),
    p.Zone(name="B", connectors=((CP, 1), (CP, 2), (CP2, 2))),
)
OPENS_NOTHING = (
    p.Interlock(cause="smoke", stop=p.Reach.ZONE, contactor=p.OpenContactor.NEVER, sirens=True),
)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    site = await Site.make(tmp_path)
    yield site
    await site.close()


@pytest.fixture
async def field(site: Site) -> Field:
    """Smoke in zone A: its contactors are open."""
    field = Field(site)
    field.install(PLANT)
    field.calm()
    field.pass_s(1.0)
    field.point("d1", 1.0)
    field.pass_s(0.5)
    assert (field.coils["k1"], field.coils["k2"], field.coils["k3"]) == (True, True, False)
    return field


def closed(field: Field) -> set[str]:
    """Return the contactors that were told to close since the list was emptied."""
    return {name for name, on in field.writes if name.startswith("k") and not on}


async def test_a_row_that_opens_nothing_closes_nothing(site: Site, field: Field) -> None:
    field.writes.clear()
    field.install(document(SIREN, K1, K2, K3, interlocks=OPENS_NOTHING))
    field.pass_s(1.5)
    assert closed(field) == set()
    assert field.coils["siren"]


async def test_a_narrower_zone_closes_nothing(site: Site, field: Field) -> None:
    field.writes.clear()
    zones = (
        p.Zone(name="A", connectors=((CP, 1),)),
        p.Zone(name="B", connectors=((CP, 2), (CP2, 1), (CP2, 2))),
    )
    field.install(document(SIREN, K1, K2, K3, zones=zones))
    field.pass_s(1.5)
    assert site.station.latches.at((CP, 2))
    assert closed(field) == set()


async def test_a_siren_that_takes_over_the_zone_sounds(site: Site, field: Field) -> None:
    field.install(document(output("siren", zones=("B",)), output("b", zones=("A",)), K1, K2, K3))
    field.pass_s(0.5)
    assert field.coils["b"]


async def test_a_contactor_by_another_name_is_not_closed_for_a_moment(
    site: Site, field: Field
) -> None:
    field.writes.clear()
    field.install(document(SIREN, output("k9", K1.kind, connectors=K1.connectors), K2, K3))
    field.pass_s(1.5)
    assert field.coils["k9"]
    assert closed(field) == set()


@pytest.mark.parametrize(
    "changed",
    [{"interlocks": OPENS_NOTHING}, {"zones": MOVED}, {}],
    ids=["other row", "other zones", "the same"],
)
async def test_another_document_at_a_restart_closes_nothing(
    site: Site, field: Field, changed: dict[str, object]
) -> None:
    await site.settle()
    await site.restart()
    again = Field(site)
    again.install(document(SIREN, K1, K2, K3, **changed))
    again.pass_s(1.5)
    assert closed(again) == {"k3"}
    assert again.coils["siren"]


@pytest.mark.parametrize("restarts", [False, True])
async def test_a_detector_that_is_taken_out_opens_nothing_elsewhere(
    site: Site, field: Field, restarts: bool
) -> None:
    field.pass_s(10.0, field.calm)
    if restarts:
        await site.settle()
        await site.restart()
        field = Field(site)
    without = tuple(each for each in PLANT.devices if each.name != "d1")
    field.install(p.Protection(zones=PLANT.zones, devices=without, outputs=PLANT.outputs))
    field.pass_s(1.5)
    assert not field.coils.get("k3"), "zone B never had smoke, and may be charging"
    assert (field.coils["k1"], field.coils["k2"]) == (True, True)


async def test_a_detector_that_is_taken_out_while_it_burns_stops_nothing_elsewhere(
    site: Site, field: Field
) -> None:
    without = tuple(each for each in PLANT.devices if each.name != "d1")
    field.install(p.Protection(zones=PLANT.zones, devices=without, outputs=PLANT.outputs))
    field.pass_s(1.5)
    assert not field.coils["k3"]
    assert {latch.place for latch in site.station.latches.all()} == {(CP, 1), (CP, 2)}
