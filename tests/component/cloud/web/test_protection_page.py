"""Pages about the protection of stations in a real browser: what holds, going back, drills."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from playwright.async_api import Browser, expect

from cloud.core.db import Sessions
from cloud.core.security import Role
from cloud.protection.models import Version
from cloud.protection.service import newest_version, publish
from cloud.settings import Settings, load
from cloud.stations.models import Station
from cloud.worker import Worker
from shared.contracts.commands import PublishProtection, StartDrill
from shared.contracts.events import (
    AlarmRaised,
    CommandSettled,
    DrillFinished,
    OutputTested,
    ProtectionActivated,
)
from shared.contracts.topics import Lane
from shared.contracts.words import Outcome, Severity
from tests.component.cloud.conftest import TestStation
from tests.component.cloud.web.browser import Seen, needs_chromium
from tests.component.cloud.web.people import PHONE, WALL, fits_everywhere, form_token, log_in, staff

pytestmark = needs_chromium

NUMBER = "55031412782305"
ZONE = {
    "name": "A",
    "connectors": [[NUMBER, 1], [NUMBER, 2]],
    "title_zh": "北区",
    "title_en": "North row",
}
DEVICE = {
    "name": "smoke-a",
    "line": "rs485",
    "unit_id": 3,
    "profile": "calectro-ug3-mb",
    "zone": "A",
    "title_zh": "大厅烟感",
    "title_en": "Hall smoke detector",
}
RELAY = {"name": "relays", "line": "rs485", "unit_id": 4, "profile": "waveshare-relay-d"}
SIREN = {
    "name": "siren-a",
    "kind": "siren",
    "device": "relays",
    "point": "relay1",
    "read_back": "input1",
    "zones": ["A"],
}
DOCUMENT: dict[str, Any] = {"zones": [ZONE], "devices": [DEVICE, RELAY], "outputs": [SIREN]}


@pytest.fixture
def settings(hq_config: Path) -> Settings:
    """Without alarms that stations are away: those here send nothing of themselves."""
    hq_config.write_text(hq_config.read_text().replace("presence_s = 2", "presence_s = 150"))
    return load(hq_config)


@pytest.fixture
async def admin(sessions: Sessions, station: Station) -> str:
    return await staff(sessions, Role.ADMIN)


async def published(
    sessions: Sessions, station: Station, document: dict[str, Any], expected: int
) -> Version:
    async with sessions() as session, session.begin():
        return await publish(
            session,
            operator_id=station.operator_id,
            station_id=station.id,
            document=document,
            expected=expected,
            by="li",
            now=datetime.now(UTC),
        )


async def newest(sessions: Sessions, station: Station) -> Version:
    async with sessions() as session:
        found = await newest_version(
            session, operator_id=station.operator_id, station_id=station.id
        )
    assert found is not None
    return found


def activated(version: Version) -> ProtectionActivated:
    return ProtectionActivated(
        occurred_at=datetime.now(UTC), version=version.version, sha256=version.sha256
    )


def settled(command_id: Any, outcome: Outcome, reason: str = "") -> CommandSettled:
    return CommandSettled(
        occurred_at=datetime.now(UTC), command_id=command_id, outcome=outcome, reason=reason
    )


async def test_a_document_is_on_its_way_then_refused_then_agreed(
    browser: Browser,
    hq_url: str,
    worker: Worker,
    link: TestStation,
    sessions: Sessions,
    station: Station,
    admin: str,
) -> None:
    seen = Seen()
    page = await browser.new_page(viewport=WALL, locale="en-GB")
    seen.watch(page, hq_url)
    await log_in(page, f"{hq_url}/protection/{station.station_no}", admin)
    standing = page.locator("[data-part=standing]")
    await expect(standing).to_contain_text("HQ has published nothing for this station.")
    first = await published(sessions, station, DOCUMENT, 0)
    await expect(standing).to_contain_text("On its way")
    await expect(standing).to_contain_text("has not said yet")
    command_id, command = await link.commands.get()
    assert isinstance(command, PublishProtection)
    refused = settled(command_id, Outcome.REJECTED, "devices[0].profile: no such profile")
    await link.committed(await link.send(Lane.STATE, refused))
    # The place is said by name, not by number.
    await expect(standing).to_contain_text("devices[smoke-a].profile: no such profile")
    await expect(standing).to_contain_text("Refused")
    await link.committed(await link.send(Lane.STATE, activated(first)))
    await expect(standing).to_contain_text("As HQ wants")
    await page.reload()
    for fold in ("Zones", "Devices", "Outputs"):
        await page.locator("summary", has_text=fold).click()
    for words in ("North row A", "Hall smoke detector smoke-a", "calectro-ug3-mb", "siren-a"):
        await expect(page.locator("main")).to_contain_text(words)
    await expect(page.locator("main")).to_contain_text(f"…{NUMBER[-6:]} #1 #2")
    smoke = page.get_by_role("region", name="What each cause does").locator(
        "tr", has=page.get_by_role("rowheader", name="Smoke", exact=True)
    )
    await expect(smoke).to_contain_text("at once")
    assert seen == Seen()


async def test_going_back_shows_what_changes_and_can_itself_be_undone(
    browser: Browser,
    hq_url: str,
    worker: Worker,
    link: TestStation,
    sessions: Sessions,
    station: Station,
    admin: str,
) -> None:
    for expected, unit_id in enumerate((3, 9)):
        document = DOCUMENT | {"devices": [DEVICE | {"unit_id": unit_id}, RELAY]}
        await published(sessions, station, document, expected)
    page = await browser.new_page(viewport=PHONE, locale="en-GB")
    home = f"{hq_url}/protection/{station.station_no}"
    await log_in(page, home, admin)
    await page.get_by_role("link", name="Version 1", exact=True).click()
    change = page.get_by_role("region", name="What going back").locator("tbody tr")
    await expect(change).to_have_count(1)
    await expect(change).to_contain_text("devices[smoke-a].unit_id")
    await expect(change.locator("code")).to_have_text(["9", "3"])
    await page.locator("[name=note]").fill("wrong address")
    await page.get_by_role("button", name="Publish version 1 again").click()
    await page.wait_for_url(home)
    made = await newest(sessions, station)
    assert (made.version, made.rolled_back_to, made.note) == (3, 1, "wrong address")
    await expect(page.locator("[data-part=standing]")).to_contain_text("copy of version 1")
    await page.get_by_role("link", name="Undo: back to version 2").click()
    # Somebody else publishes while the page is open: nothing is written over.
    await published(sessions, station, DOCUMENT | {"outputs": []}, 3)
    await page.get_by_role("button", name="Publish version 2 again").click()
    await expect(page.locator("h1")).to_have_text("Somebody else was faster")
    assert (await newest(sessions, station)).version == 4


async def test_an_old_version_that_todays_checks_refuse_says_where(
    browser: Browser,
    hq_url: str,
    worker: Worker,
    sessions: Sessions,
    station: Station,
    admin: str,
) -> None:
    first = await published(sessions, station, DOCUMENT, 0)
    await published(sessions, station, DOCUMENT | {"outputs": []}, 1)
    async with sessions() as session, session.begin():
        old = await session.get_one(Version, first.id)
        old.document = DOCUMENT | {"devices": [DEVICE | {"unit_id": 999}, RELAY]}
    page = await browser.new_page(viewport=WALL, locale="en-GB")
    home = f"{hq_url}/protection/{station.station_no}"
    await log_in(page, home, admin)
    await page.get_by_role("link", name="Version 1", exact=True).click()
    await page.get_by_role("button", name="Publish version 1 again").click()
    await expect(page.get_by_role("alert")).to_contain_text("devices[smoke-a].unit_id")
    assert (await newest(sessions, station)).version == 2


async def test_a_viewer_reads_and_changes_nothing(
    browser: Browser,
    hq_url: str,
    worker: Worker,
    sessions: Sessions,
    station: Station,
) -> None:
    viewer = await staff(sessions, Role.VIEWER)
    await published(sessions, station, DOCUMENT, 0)
    await published(sessions, station, DOCUMENT | {"outputs": []}, 1)
    page = await browser.new_page(viewport=WALL, locale="en-GB")
    home = f"{hq_url}/protection/{station.station_no}"
    await log_in(page, home, viewer)
    for path in ("", "/drills", "/versions/1"):
        await page.goto(f"{home}{path}")
        await expect(page.locator("main form")).to_have_count(0)
    form = {"expected": "2", "csrf_token": await form_token(page)}
    for path in ("/drills", "/versions/1/publish"):
        answer = await page.request.post(f"{home}{path}", form=form)
        assert answer.status == 403
    assert (await newest(sessions, station)).version == 2


async def test_a_drill_is_started_and_its_results_appear(
    browser: Browser,
    hq_url: str,
    worker: Worker,
    link: TestStation,
    sessions: Sessions,
    station: Station,
) -> None:
    seen = Seen()
    dispatcher = await staff(sessions, Role.DISPATCHER)
    page = await browser.new_page(viewport=WALL, locale="en-GB")
    seen.watch(page, hq_url)
    due = AlarmRaised(
        occurred_at=datetime.now(UTC),
        alarm_id=uuid4(),
        code="drill_due",
        severity=Severity.INFO,
        object="station",
    )
    await link.committed(await link.send(Lane.ALARM, due))
    await log_in(page, f"{hq_url}/protection", dispatcher)
    await expect(page.locator("[data-part=stations]")).to_contain_text("Due")
    await page.get_by_role("link", name="never").click()
    await page.locator("summary", has_text="Start a drill").click()
    await page.get_by_role("button", name="Sound the sirens now").click()
    state = page.locator("[data-part=state]")
    await expect(state).to_contain_text("waits for the station")
    command_id, command = await link.commands.get()
    assert isinstance(command, StartDrill)
    assert command.by == dispatcher
    # While the station has not answered, nobody asks a second time.
    await page.locator("summary", has_text="Start a drill").click()
    await page.get_by_role("button", name="Sound the sirens now").click()
    await expect(page.locator("h1")).to_have_text("Not possible as things stand")
    await page.go_back()
    await link.committed(await link.send(Lane.STATE, settled(command_id, Outcome.DONE)))
    await expect(state).to_contain_text("begun")
    finished = DrillFinished(
        occurred_at=datetime.now(UTC),
        drill_id=uuid4(),
        by=dispatcher,
        outputs=(
            OutputTested("siren-a", ok=True, read_back_ms=180),
            OutputTested("speaker", ok=False, detail="silent"),
        ),
    )
    await link.committed(await link.send(Lane.STATE, finished))
    row = page.locator("[data-part=drills] tbody tr")
    await expect(row).to_contain_text("read back after 180 ms")
    await expect(row).to_contain_text("Loudspeaker silent")
    await expect(row).to_contain_text("Something failed")
    assert seen.foreign == []


async def test_a_refused_drill_says_why(
    browser: Browser,
    hq_url: str,
    worker: Worker,
    link: TestStation,
    station: Station,
    admin: str,
) -> None:
    page = await browser.new_page(viewport=PHONE, locale="zh-CN")
    await log_in(page, f"{hq_url}/protection/{station.station_no}/drills", admin)
    await expect(page.locator(".empty")).to_contain_text("还没有演练")
    await page.locator("summary", has_text="开始演练").click()
    await page.get_by_role("button", name="立即鸣响").click()
    command_id, _ = await link.commands.get()
    refused = settled(command_id, Outcome.REJECTED, "drill_alarm")
    await link.committed(await link.send(Lane.STATE, refused))
    await expect(page.locator("[data-part=state]")).to_contain_text("被拒绝: 存在告警时不能演练")


async def test_pages_of_protection_fit_every_screen_language_and_theme(
    browser: Browser,
    hq_url: str,
    worker: Worker,
    sessions: Sessions,
    station: Station,
    admin: str,
) -> None:
    seen = Seen()
    page = await (await browser.new_context(viewport=PHONE, locale="en-GB")).new_page()
    seen.watch(page, hq_url)
    await published(sessions, station, DOCUMENT, 0)
    await published(sessions, station, DOCUMENT | {"outputs": []}, 1)
    home = f"/protection/{station.station_no}"
    await log_in(page, f"{hq_url}{home}", admin)
    await fits_everywhere(page, hq_url, "/protection", home, f"{home}/versions/1", f"{home}/drills")
    assert seen == Seen()
