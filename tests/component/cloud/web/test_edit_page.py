"""Writing protection in a real browser: checked before it is published, wrong fields named."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from cloud.core.db import Sessions
from cloud.core.security import Role
from cloud.protection.models import Version
from cloud.protection.service import newest_version, publish
from cloud.settings import Settings, load
from cloud.stations.models import Station
from tests.component.cloud.conftest import PASSWORD
from tests.component.cloud.web.browser import Seen, needs_chromium
from tests.component.cloud.web.people import PHONE, WALL, fits_everywhere, form_token, staff

pytestmark = needs_chromium

HOT = {
    "kind": "threshold",
    "rule_id": "hot",
    "code": "environment_hot",
    "select": {"quantity": "temperature_c"},
    "above": 50.0,
    "hysteresis": 3.0,
}
DOCUMENT: dict[str, Any] = {"zones": [{"name": "A"}], "rules": [HOT]}


@pytest.fixture
def settings(hq_config: Path) -> Settings:
    return load(hq_config)


@pytest.fixture
async def admin(sessions: Sessions, station: Station) -> str:
    return await staff(sessions, Role.ADMIN)


async def published(sessions: Sessions, station: Station, document: Any, expected: int) -> None:
    async with sessions() as session, session.begin():
        await publish(
            session,
            operator_id=station.operator_id,
            station_id=station.id,
            document=document,
            expected=expected,
            by="li",
            now=datetime.now(UTC),
        )


async def newest(sessions: Sessions, station: Station) -> Version | None:
    async with sessions() as session:
        return await newest_version(session, operator_id=station.operator_id, station_id=station.id)


async def log_in(page: Any, url: str, name: str) -> None:
    await page.goto(url)
    await page.fill("#username", name)
    await page.fill("#password", PASSWORD)
    await page.keyboard.press("Enter")
    await page.wait_for_url(url)


async def test_a_limit_is_checked_corrected_and_published(
    browser: Browser, hq_url: str, sessions: Sessions, station: Station, admin: str
) -> None:
    seen = Seen()
    await published(sessions, station, DOCUMENT, 0)
    page = await browser.new_page(viewport=WALL, locale="en-GB")
    seen.watch(page, hq_url)
    home = f"{hq_url}/protection/{station.station_no}"
    await log_in(page, f"{home}/edit", admin)
    above = page.locator('[name="rules[0].above"]')
    hysteresis = page.locator('[name="rules[0].hysteresis"]')
    await above.fill("fifty")
    await page.get_by_role("button", name="Check only").first.click()
    await expect(above).to_have_attribute("aria-invalid", "true")
    await expect(above).to_be_focused()
    await expect(above).to_have_value("fifty")
    await above.fill("45")
    await hysteresis.fill("-2")
    # The server's own check, at its field, although it was to be published.
    await page.get_by_role("button", name="Publish version 2").first.click()
    await expect(page.locator("#wrong")).to_contain_text("rules[hot].hysteresis")
    await expect(hysteresis).to_have_attribute("aria-invalid", "true")
    await expect(above).to_have_value("45")
    await hysteresis.fill("2")
    await page.get_by_role("button", name="Check only").first.click()
    good = page.locator(".notice.good")
    await expect(good).to_contain_text("It would be version 2")
    await expect(good.locator("tbody tr")).to_have_count(2)
    await expect(good).to_contain_text("rules[hot].above")
    before = await newest(sessions, station)
    assert before is not None
    assert before.version == 1
    await page.locator("[name=note]").first.fill("summer")
    await page.get_by_role("button", name="Publish version 2").first.click()
    await page.wait_for_url(home)
    made = await newest(sessions, station)
    assert made is not None
    assert (made.version, made.note, made.created_by) == (2, "summer", admin)
    assert (
        made.document["rules"][0] | {"above": 45.0, "hysteresis": 2.0}
        == (made.document["rules"][0])
    )
    assert made.document["zones"] == DOCUMENT["zones"]
    assert seen == Seen()


async def test_a_whole_document_is_pasted_and_what_is_wrong_in_it_is_said(
    browser: Browser, hq_url: str, sessions: Sessions, station: Station, admin: str
) -> None:
    page = await browser.new_page(viewport=PHONE, locale="zh-CN")
    home = f"{hq_url}/protection/{station.station_no}"
    await log_in(page, f"{home}/edit", admin)
    await page.locator("summary", has_text="JSON").click()
    text = page.locator("[name=document]")
    for wrong, said in (
        ("{", "document"),
        ('{"zones": [{"name": "A"}, {"name": "A"}]}', "zones"),
        ('{"zonse": []}', "zonse"),
    ):
        await text.fill(wrong)
        await page.get_by_role("button", name="发布第 1 版").last.click()
        await expect(page.locator("#wrong")).to_contain_text(said)
        await expect(text).to_have_value(wrong)
    await text.fill(json.dumps(DOCUMENT))
    await page.get_by_role("button", name="发布第 1 版").last.click()
    await page.wait_for_url(home)
    made = await newest(sessions, station)
    assert made is not None
    assert made.document["zones"] == DOCUMENT["zones"]


async def test_nobody_writes_over_what_somebody_else_published(
    browser: Browser, hq_url: str, sessions: Sessions, station: Station, admin: str
) -> None:
    await published(sessions, station, DOCUMENT, 0)
    page = await browser.new_page(viewport=WALL, locale="en-GB")
    await log_in(page, f"{hq_url}/protection/{station.station_no}/edit", admin)
    await published(sessions, station, {"zones": []}, 1)
    await page.get_by_role("button", name="Publish version 2").first.click()
    await expect(page.locator("h1")).to_have_text("Somebody else was faster")
    found = await newest(sessions, station)
    assert found is not None
    assert found.version == 2


async def test_only_administrators_write(
    browser: Browser, hq_url: str, sessions: Sessions, station: Station
) -> None:
    dispatcher = await staff(sessions, Role.DISPATCHER)
    page = await browser.new_page(viewport=WALL, locale="en-GB")
    url = f"{hq_url}/protection/{station.station_no}/edit"
    await log_in(page, url, dispatcher)
    await expect(page.locator("h1")).to_have_text("You may not do this")
    form = {"expected": "0", "act": "publish", "csrf_token": await form_token(page)}
    answer = await page.request.post(url, form=form)
    assert answer.status == 403
    assert await newest(sessions, station) is None


async def test_the_form_fits_every_screen_language_and_theme(
    browser: Browser, hq_url: str, station: Station, admin: str
) -> None:
    seen = Seen()
    page = await (await browser.new_context(viewport=PHONE, locale="en-GB")).new_page()
    seen.watch(page, hq_url)
    path = f"/protection/{station.station_no}/edit"
    await log_in(page, f"{hq_url}{path}", admin)
    await fits_everywhere(page, hq_url, path)
    assert seen == Seen()
