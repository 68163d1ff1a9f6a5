"""Stops work with HQ, the disk and the clock broken; a start needs all that it needs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from edge.devices.chargers import wishes as w
from edge.local_actions import SiteActions
from edge.station.pins import hash_pin
from shared.contracts import commands as c
from shared.contracts import protection as p
from tests.fakes.field import Field, document, output
from tests.fakes.station_site import CP, Site

PIN = "274913"
PINS = (p.Pin(name="Wang", role="staff", hash=hash_pin(PIN)),)
SIREN = output("siren", zones=("A",))
K1 = output("k1", p.OutputKind.CONTACTOR, connectors=((CP, 1), (CP, 2)))
LATER = (
    p.Interlock(
        cause="smoke", stop=p.Reach.ZONE, contactor=p.OpenContactor.UNCONFIRMED, sirens=True
    ),
)
_YEARS_S = 20 * 365 * 86_400


def fails(*_: Any, **__: Any) -> None:
    raise OSError("no space left on device")


@pytest.fixture
async def whole(tmp_path: Path) -> AsyncIterator[Site]:
    """A car charges; HQ is away."""
    site = await Site.make(tmp_path)
    await site.command(c.PublishPins(version=1, pins=PINS))
    await site.run()
    site.points.wishes.clear()
    yield site
    await site.close()


@pytest.fixture
def site(whole: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """And then the disk fails for good."""
    with monkeypatch.context() as patch:
        patch.setattr(whole.journal, "append", fails)
        patch.setattr(whole.station, "add_sample", fails)
        yield whole


def stops(site: Site) -> list[tuple[str, int]]:
    return [(each.charge_point_no, each.connector_no) for each in site.points.of(w.StopRemotely)]


async def test_a_stop_climbs_whatever_the_clock_says(site: Site) -> None:
    field = Field(site)
    field.install(document(SIREN, K1, interlocks=LATER))
    field.calm()
    jumps = cycle((-_YEARS_S, 2 * _YEARS_S, -_YEARS_S))  # the stop falls into the past

    def odd() -> None:
        site.clock.jump(next(jumps))
        site.charging("", 2000)

    field.pass_s(1.0, odd)
    field.point("d1", 1.0)
    assert set(stops(site)) == {(CP, 1), (CP, 2)}
    assert field.coils["siren"]
    field.pass_s(5.5, odd)
    assert stops(site).count((CP, 1)) == 3, "at 0, 2 and 4 s"
    assert not field.coils["k1"]
    field.pass_s(1.0, odd)
    assert field.coils["k1"]
    field.pass_s(4.0, odd)
    assert site.station.alarms.is_open("stop_not_confirmed", f"connector:{CP}:1")


async def test_people_on_site_stop_a_charge(site: Site) -> None:
    with suppress(OSError):  # who asked is told that it could not be written down
        await SiteActions(site.station).stop({"number": CP, "connector": 1, "pin": PIN})
    assert (CP, 1) in stops(site)


async def test_hq_stops_all_by_a_command_that_cannot_be_stored(site: Site) -> None:
    with pytest.raises(OSError, match="no space"):
        await site.command(c.EmergencyStop(charge_point_no=CP))
    assert set(stops(site)) == {(CP, 1), (CP, 2)}


async def test_nothing_starts_that_cannot_be_stored(
    whole: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole.record(whole.station.book.open_transactions()[0].transaction_no, 2000)
    await whole.settle()
    whole.sample()
    with monkeypatch.context() as patch:
        patch.setattr(whole.journal, "append", fails)
        whole.ask()
        assert not any(each.accepted for each in whole.points.of(w.AnswerStart))
    whole.points.wishes.clear()
    await whole.start()  # the very same, now that the disk works
