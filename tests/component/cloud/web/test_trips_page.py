"""The page of trips in a real browser: what stopped by itself, how fast, and where it leads."""

from __future__ import annotations

import asyncio
import csv
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from playwright.async_api import Browser, expect

from cloud.core.db import Sessions
from cloud.core.security import Role
from cloud.settings import Settings, load
from cloud.stations.models import Station
from cloud.worker import Worker
from shared.contracts.events import AlarmRaised, SafetyTripped
from shared.contracts.topics import Lane
from shared.contracts.words import Severity
from tests.component.cloud.conftest import TestStation
from tests.component.cloud.web.browser import Seen, needs_chromium
from tests.component.cloud.web.people import PHONE, WALL, fits_everywhere, log_in, staff

pytestmark = needs_chromium

NUMBER = "55031412782305"


@pytest.fixture
def settings(hq_config: Path) -> Settings:
    """Without alarms that stations are away: those here send nothing of themselves."""
    hq_config.write_text(hq_config.read_text().replace("presence_s = 2", "presence_s = 150"))
    return load(hq_config)


@pytest.fixture
async def viewer(sessions: Sessions, station: Station) -> str:
    return await staff(sessions, Role.VIEWER)


def smoke() -> AlarmRaised:
    return AlarmRaised(
        occurred_at=datetime.now(UTC),
        alarm_id=uuid4(),
        code="smoke",
        severity=Severity.CRITICAL,
        object="sensor:smoke-a",
    )


def trip(**changes: Any) -> SafetyTripped:
    fields: dict[str, Any] = {
        "occurred_at": datetime.now(UTC),
        "trip_id": uuid4(),
        "cause": "smoke",
        "connectors": ((NUMBER, 1), (NUMBER, 2)),
        "stop_sent_us": 1_240,
        "zero_current_ms": 1_830,
        "object": "sensor:smoke-a",
        "zone": "A",
        "siren_us": 7_900,
        "contactors": ("k1",),
        "contactor_us": 3_100,
    }
    return SafetyTripped(**(fields | changes))


async def test_a_trip_appears_with_its_figures_and_leads_to_its_alarm(
    browser: Browser, hq_url: str, worker: Worker, link: TestStation, viewer: str
) -> None:
    seen = Seen()
    page = await browser.new_page(viewport=WALL, locale="en-GB")
    seen.watch(page, hq_url)
    await log_in(page, f"{hq_url}/trips", viewer)
    await expect(page.locator(".empty")).to_contain_text("No trips yet")
    await expect(page.locator("svg")).to_have_count(0)
    await link.committed(await link.send(Lane.ALARM, smoke(), trip(zero_current_ms=None)))
    row = page.locator("[data-part=trips] tbody tr")
    await expect(row).to_contain_text("1.2 ms", timeout=8000)
    for words in ("Smoke", "412782305"[-6:] + " #1 #2", "3.1 ms", "k1"):
        await expect(row).to_contain_text(words)
    # What is above its target says so in words, what is awaited is a dash.
    await expect(row.locator(".is-major")).to_contain_text("7.9 ms above the target")
    await expect(row.locator("[data-label='Current at zero']")).to_have_text("–")
    await expect(page.locator("[data-part=plots] figure")).to_have_count(3)
    await expect(page.locator("figure .dot.over")).to_have_count(1)
    await expect(page.locator("figure .empty")).to_have_text("No figures yet.")
    await page.get_by_role("link", name="Smoke").click()
    await expect(page.locator("h1")).to_have_text("Smoke")
    assert seen == Seen()


async def test_drills_are_marked_and_lists_narrowed_and_exported(
    browser: Browser,
    hq_url: str,
    worker: Worker,
    link: TestStation,
    viewer: str,
    station: Station,
) -> None:
    page = await browser.new_page(viewport=PHONE, locale="en-GB")
    old = datetime.now(UTC) - timedelta(days=3)
    drill = trip(cause="emergency_stop", object="", drill=True, stop_sent_us=None)
    await link.committed(await link.send(Lane.ALARM, trip(occurred_at=old), drill))
    await log_in(page, f"{hq_url}/trips", viewer)
    rows = page.locator("[data-part=trips] tbody tr")
    await expect(rows).to_have_count(2)
    await expect(rows.first.locator(".mark.drill")).to_have_text("Drill")
    await expect(rows.last.locator(".mark.drill")).to_have_count(0)
    await expect(page.locator("figure").nth(1).locator(".dot.hollow")).to_have_count(1)
    await page.locator("[name=drill]").select_option("no")
    await page.locator("[name=station]").select_option(station.station_no)
    await page.get_by_role("button", name="Show").click()
    await expect(rows).to_have_count(1)
    async with page.expect_download() as download:
        await page.get_by_role("link", name="CSV").click()
    path = await (await download.value).path()
    text = await asyncio.to_thread(path.read_text, "utf-8-sig")
    [line] = csv.DictReader(io.StringIO(text))
    assert line["station_no"] == station.station_no
    assert line["station"] == station.name_en
    assert line["connectors"] == f"{NUMBER} #1 #2"
    assert (line["place"], line["zone"]) == ("Sensor smoke-a", "Zone A")
    assert (line["object"], line["zone_name"]) == ("sensor:smoke-a", "A")
    assert (line["title"], line["stop_sent_us"], line["alarm_id"]) == ("Smoke", "1240", "")
    assert line["at"].endswith("+08:00")
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    await page.goto(f"{hq_url}/trips?since={today}&drill=no")
    await expect(page.locator(".empty")).to_contain_text("No trip matches these filters.")
    await page.goto(f"{hq_url}/trips?since=x&until=9999-99-99&drill=maybe")
    await expect(rows).to_have_count(2)


async def test_an_alarm_of_another_moment_is_not_the_trips(
    browser: Browser, hq_url: str, worker: Worker, link: TestStation, viewer: str
) -> None:
    earlier = datetime.now(UTC) - timedelta(hours=2)
    await link.committed(await link.send(Lane.ALARM, trip(occurred_at=earlier), smoke()))
    page = await browser.new_page(viewport=WALL, locale="en-GB")
    await log_in(page, f"{hq_url}/trips", viewer)
    await expect(page.locator("[data-part=trips] tbody tr")).to_contain_text("Smoke")
    await expect(page.locator("[data-part=trips] tbody a")).to_have_count(0)


async def test_trips_fit_every_screen_language_and_theme(
    browser: Browser, hq_url: str, worker: Worker, link: TestStation, viewer: str
) -> None:
    seen = Seen()
    page = await (await browser.new_context(viewport=PHONE, locale="en-GB")).new_page()
    seen.watch(page, hq_url)
    many = tuple((f"550314127823{n:02}", k) for n in range(8) for k in (1, 2))
    names = tuple(f"contactor-{n}" for n in range(8))
    await link.committed(
        await link.send(Lane.ALARM, smoke(), trip(connectors=many, contactors=names))
    )
    await log_in(page, f"{hq_url}/trips", viewer)
    href = await page.locator("[data-part=trips] tbody a").get_attribute("href")
    assert href
    await fits_everywhere(page, hq_url, "/trips", href)
    assert seen == Seen()
