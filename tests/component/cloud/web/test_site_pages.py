"""Pages about people and things at a station in a real browser: instructions, PINs, bindings."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from cloud.core.db import Sessions
from cloud.core.security import Role
from cloud.protection.people import pins_of
from cloud.protection.service import publish, station_row
from cloud.settings import Settings, load
from cloud.stations.models import Station
from cloud.stations.service import register_charge_point
from cloud.worker import Worker
from shared.contracts.commands import ChargePointConfig, Instruct, PublishPins
from shared.contracts.events import InstructionAcknowledged
from shared.contracts.topics import Lane
from tests.component.cloud.conftest import TestStation
from tests.component.cloud.web.browser import Seen, needs_chromium
from tests.component.cloud.web.people import PHONE, WALL, fits_everywhere, form_token, log_in, staff

pytestmark = needs_chromium

NUMBER = "55031412782305"
RELAY = {"name": "relays", "line": "rs485", "unit_id": 4, "profile": "waveshare-relay-d"}
SIREN = {"name": "siren-a", "kind": "siren", "device": "relays", "point": "relay1"}
ZONE = {"name": "A", "title_zh": "北区", "title_en": "North row"}


@pytest.fixture
def settings(hq_config: Path) -> Settings:
    """Without alarms that stations are away: those here send nothing of themselves."""
    hq_config.write_text(hq_config.read_text().replace("presence_s = 2", "presence_s = 150"))
    return load(hq_config)


@pytest.fixture
async def site(sessions: Sessions, station: Station) -> Station:
    """A station with a zone, a siren and a charge point."""
    now = datetime.now(UTC)
    async with sessions() as session, session.begin():
        await register_charge_point(
            session,
            station=station,
            config=ChargePointConfig(charge_point_no=NUMBER, connector_count=2),
            now=now,
        )
        await published(session, station, {"zones": [ZONE], "devices": [RELAY], "outputs": [SIREN]})
    return station


async def published(session: Any, station: Station, document: Any, expected: int = 0) -> None:
    await publish(
        session,
        operator_id=station.operator_id,
        station_id=station.id,
        document=document,
        expected=expected,
        by="li",
        now=datetime.now(UTC),
    )


@pytest.fixture
async def admin(sessions: Sessions, station: Station) -> str:
    return await staff(sessions, Role.ADMIN)


async def test_an_instruction_is_sent_arrives_and_is_read(
    browser: Browser,
    hq_url: str,
    worker: Worker,
    link: TestStation,
    sessions: Sessions,
    station: Station,
) -> None:
    seen = Seen()
    dispatcher = await staff(sessions, Role.DISPATCHER)
    page = await browser.new_page(viewport=PHONE, locale="en-GB")
    seen.watch(page, hq_url)
    await log_in(page, f"{hq_url}/protection/{station.station_no}/instructions", dispatcher)
    await expect(page.locator(".empty")).to_contain_text("Nobody there was asked")
    await page.locator("[name=text_zh]").fill("请关闭北区总闸")
    await page.locator("[name=text_en]").fill("Switch off the north row")
    await page.get_by_role("button", name="Show it at").click()
    row = page.locator("[data-part=instructions] tbody tr")
    await expect(row).to_contain_text("Switch off the north row")
    await expect(row).to_contain_text("请关闭北区总闸")
    await expect(row).to_contain_text("On its way")
    command_id, command = await link.commands.get()
    assert isinstance(command, Instruct)
    assert (command.text_en, command.by) == ("Switch off the north row", dispatcher)
    await link.committed(await link.settle(command_id))
    await expect(row).to_contain_text("On the screen")
    read = InstructionAcknowledged(
        occurred_at=datetime.now(UTC), instruction_id=command.instruction_id, by="王"
    )
    await link.committed(await link.send(Lane.ALARM, read))
    await expect(row).to_contain_text("Read by 王")
    assert seen == Seen()


async def test_a_viewer_reads_instructions_and_gives_none(
    browser: Browser, hq_url: str, worker: Worker, sessions: Sessions, station: Station
) -> None:
    viewer = await staff(sessions, Role.VIEWER)
    page = await browser.new_page(viewport=WALL, locale="en-GB")
    url = f"{hq_url}/protection/{station.station_no}/instructions"
    await log_in(page, url, viewer)
    await expect(page.locator("main form")).to_have_count(0)
    form = {"text_zh": "x", "text_en": "x", "csrf_token": await form_token(page)}
    assert (await page.request.post(url, form=form)).status == 403


async def test_what_is_being_written_stays_while_the_page_renews_itself(
    browser: Browser,
    hq_url: str,
    worker: Worker,
    link: TestStation,
    station: Station,
    admin: str,
) -> None:
    page = await browser.new_page(viewport=WALL, locale="en-GB")
    await log_in(page, f"{hq_url}/protection/{station.station_no}/instructions", admin)
    await page.locator("[name=text_en]").fill("Half a sent")
    async with page.expect_response(lambda answer: answer.url.endswith("/instructions")):
        pass
    await expect(page.locator("[name=text_en]")).to_have_value("Half a sent")


async def test_a_pin_is_made_shown_once_renewed_and_withdrawn(
    browser: Browser,
    hq_url: str,
    worker: Worker,
    link: TestStation,
    sessions: Sessions,
    station: Station,
    admin: str,
) -> None:
    page = await browser.new_page(viewport=WALL, locale="en-GB")
    home = f"{hq_url}/protection/{station.station_no}/pins"
    await log_in(page, home, admin)
    await expect(page.locator(".empty")).to_contain_text("Nobody has a PIN")
    await page.locator("#name").fill("王芳")
    await page.locator("[name=role]").select_option("chief")
    await page.get_by_role("button", name="Make a PIN").click()
    first = await page.locator(".pin").inner_text()
    assert re.fullmatch(r"\d{6}", first)
    _, command = await link.commands.get()
    assert isinstance(command, PublishPins)
    assert [(pin.name, pin.role) for pin in command.pins] == [("王芳", "chief")]
    assert first not in command.pins[0].hash
    # It is nowhere else: neither after a look elsewhere nor beside the name.
    await page.goto(home)
    await expect(page.locator(".pin")).to_have_count(0)
    assert first not in await page.content()
    await page.locator("#name").fill("王芳")
    await page.get_by_role("button", name="Make a PIN").click()
    await expect(page.locator("#refusal")).to_contain_text("has one already")
    await expect(page.locator("#name")).to_be_focused()
    await expect(page.locator("#name")).to_have_value("王芳")
    await page.locator("summary", has_text="New PIN").click()
    await page.get_by_role("button", name="Make a new PIN").click()
    second = await page.locator(".pin").inner_text()
    assert second != first
    await page.locator("summary", has_text="Withdraw").click()
    await page.get_by_role("button", name="Withdraw the PIN").click()
    await expect(page.locator(".empty")).to_contain_text("Nobody has a PIN")
    async with sessions() as session:
        assert await pins_of(session, station.id) == []


async def test_pins_are_for_administrators(
    browser: Browser,
    hq_url: str,
    worker: Worker,
    sessions: Sessions,
    station: Station,
) -> None:
    dispatcher = await staff(sessions, Role.DISPATCHER)
    page = await browser.new_page(viewport=WALL, locale="en-GB")
    home = f"{hq_url}/protection/{station.station_no}"
    await log_in(page, f"{home}/bindings", dispatcher)
    await expect(page.get_by_role("link", name="PINs")).to_have_count(0)
    await expect(page.locator("main form")).to_have_count(0)
    await page.goto(f"{home}/pins")
    await expect(page.locator("h1")).to_have_text("You may not do this")
    form = {"act": "give", "name": "x", "expected": "0", "kind": "camera", "target": "station"}
    form["csrf_token"] = await form_token(page)
    for path in ("/pins", "/bindings"):
        assert (await page.request.post(f"{home}{path}", form=form)).status == 403


async def test_things_are_bound_to_places_and_taken_away(
    browser: Browser,
    hq_url: str,
    worker: Worker,
    sessions: Sessions,
    site: Station,
    admin: str,
) -> None:
    page = await browser.new_page(viewport=WALL, locale="en-GB")
    home = f"{hq_url}/protection/{site.station_no}/bindings"
    await log_in(page, home, admin)
    point = page.locator("tr", has_text=f"Charge point …{NUMBER[-6:]}")
    await page.locator("[name=name]").last.fill("cam-1")
    await page.locator("select[name=target]").select_option(f"charge_point:{NUMBER}")
    await page.get_by_role("button", name="Bind", exact=True).click()
    await expect(point).to_contain_text("cam-1")
    await page.locator("select[name=kind]").select_option("siren")
    await page.locator(".ask [name=name]").fill("horn")
    await page.locator("select[name=target]").select_option("zone:A")
    await page.get_by_role("button", name="Bind", exact=True).click()
    # The server's word stands at the field, and what was chosen is kept.
    await expect(page.locator("#refusal")).to_contain_text("There are: siren-a")
    await expect(page.locator(".ask [name=name]")).to_be_focused()
    await expect(page.locator("select[name=target]")).to_have_value("zone:A")
    await page.locator(".ask [name=name]").fill("siren-a")
    await page.get_by_role("button", name="Bind", exact=True).click()
    zone = page.locator("tr", has_text="Zone North row")
    await expect(zone).to_contain_text("siren-a")
    # The zone goes; what belonged to it is shown as gone and does not stand in the way.
    async with sessions() as session, session.begin():
        await published(session, site, {"devices": [RELAY], "outputs": [SIREN]}, 1)
    await page.goto(home)
    await expect(page.locator("tr", has_text="zone:A")).to_contain_text("gone")
    await page.get_by_role("button", name="Remove cam-1 here").click()
    await expect(page.locator("main")).not_to_contain_text("cam-1")
    async with sessions() as session:
        row = await station_row(session, operator_id=site.operator_id, station_id=site.id)
        assert (row.bindings, row.bindings_version) == ([], 3)


async def test_pages_of_a_site_fit_every_screen_language_and_theme(
    browser: Browser, hq_url: str, worker: Worker, site: Station, admin: str
) -> None:
    seen = Seen()
    page = await (await browser.new_context(viewport=PHONE, locale="en-GB")).new_page()
    seen.watch(page, hq_url)
    home = f"/protection/{site.station_no}"
    await log_in(page, f"{hq_url}{home}/pins", admin)
    await page.locator("#name").fill(
        "A name that is as long as names may be, which is 64 letters ok"
    )
    await page.get_by_role("button", name="Make a PIN").click()
    await page.goto(f"{hq_url}{home}/instructions")
    await page.locator("[name=text_zh]").fill("请" * 200)
    await page.locator("[name=text_en]").fill("w" * 300)
    await page.get_by_role("button", name="Show it at").click()
    paths = [f"{home}/{name}" for name in ("instructions", "pins", "bindings")]
    await fits_everywhere(page, hq_url, *paths)
    assert seen == Seen()
