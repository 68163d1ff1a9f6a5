"""The pages of alarms in a real browser: seen at once, acted upon, on every screen."""

from __future__ import annotations

import asyncio
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from playwright.async_api import Browser, expect

from cloud.core.db import Sessions
from cloud.core.security import Role
from cloud.protection.service import publish
from cloud.settings import Settings, load
from cloud.stations.models import Station
from cloud.worker import Worker
from shared.contracts.commands import AcknowledgeAlarm, ShelveAlarm
from shared.contracts.events import AlarmAcknowledged, AlarmRaised, SafetyTripped
from shared.contracts.topics import Lane
from shared.contracts.words import Severity
from tests.component.cloud.conftest import TestStation
from tests.component.cloud.web.browser import Seen, needs_chromium
from tests.component.cloud.web.people import PHONE, WALL, log_in, staff

pytestmark = needs_chromium

NUMBER = "55031412782305"


@pytest.fixture
def settings(hq_config: Path) -> Settings:
    """Without alarms that stations are away: those here send nothing of themselves."""
    hq_config.write_text(hq_config.read_text().replace("presence_s = 2", "presence_s = 150"))
    return load(hq_config)


@pytest.fixture
async def dispatcher(sessions: Sessions, station: Station) -> str:
    return await staff(sessions, Role.DISPATCHER)


def raised(code: str, severity: Severity, object_: str, **changes: Any) -> AlarmRaised:
    fields: dict[str, Any] = {
        "occurred_at": datetime.now(UTC),
        "alarm_id": uuid4(),
        "code": code,
        "severity": severity,
        "object": object_,
    }
    return AlarmRaised(**(fields | changes))


def tripped(alarm: AlarmRaised) -> SafetyTripped:
    return SafetyTripped(
        occurred_at=alarm.occurred_at,
        trip_id=uuid4(),
        cause=alarm.code,
        connectors=((NUMBER, 1), (NUMBER, 2)),
        stop_sent_us=12_400,
        zero_current_ms=1_830,
        object=alarm.object,
        zone="A",
        siren_us=18_900,
        contactors=("k1",),
        contactor_us=31_000,
    )


async def test_a_fire_is_seen_within_a_second_and_its_figures_follow(
    browser: Browser,
    hq_url: str,
    api: FastAPI,
    worker: Worker,
    link: TestStation,
    dispatcher: str,
) -> None:
    seen = Seen()
    page = await browser.new_page(viewport=WALL, locale="en-GB")
    seen.watch(page, hq_url)
    await log_in(page, f"{hq_url}/alarms", dispatcher)
    await expect(page.locator("[data-part=list]")).to_contain_text("No open alarms.")
    await api.state.alarm_feed.listening.wait()
    smoke = raised("smoke", Severity.CRITICAL, "sensor:smoke-a")
    sent_s = time.monotonic()
    await link.send(Lane.ALARM, smoke)
    await expect(page.locator("#news")).to_contain_text("Smoke")
    await expect(page.locator(".alarm.is-critical")).to_contain_text("call the fire brigade")
    took_s = time.monotonic() - sent_s
    assert took_s < 1.5, f"{took_s} s"
    # What it cannot be is not offered.
    await expect(page.get_by_text("Put aside", exact=True)).to_have_count(1)  # the filter's

    await page.get_by_role("link", name="Smoke").click()
    await expect(page.locator("#link[data-now=live]")).to_be_visible(timeout=30_000)
    await link.committed(await link.send(Lane.ALARM, tripped(smoke)))
    on_site = AlarmAcknowledged(occurred_at=datetime.now(UTC), alarm_id=smoke.alarm_id, by="王")
    await link.committed(await link.send(Lane.ALARM, on_site))
    trips = page.locator("[data-part=trips]")
    await expect(trips).to_contain_text("12.4 ms")
    for figure in ("18.9 ms", "31.0 ms", "1830 ms"):
        await expect(trips).to_contain_text(figure)
    row = page.locator("[data-part=history] tr", has_text="王")
    await expect(row).to_contain_text("On site")
    assert seen == Seen()


async def test_what_is_new_is_said_in_the_pages_language_not_the_browsers(
    browser: Browser,
    hq_url: str,
    api: FastAPI,
    worker: Worker,
    link: TestStation,
    dispatcher: str,
) -> None:
    page = await browser.new_page(viewport=PHONE, locale="en-GB")
    await log_in(page, f"{hq_url}/alarms", dispatcher)
    await page.goto(f"{hq_url}/alarms?lang=zh")
    await expect(page.locator("#link[data-now=live]")).to_be_visible(timeout=30_000)
    await api.state.alarm_feed.listening.wait()
    await link.send(Lane.ALARM, raised("smoke", Severity.CRITICAL, "sensor:smoke-a"))
    await expect(page.locator("#news")).to_have_text("新的紧急告警: 烟雾报警")
    async with page.expect_download() as download:
        await page.get_by_role("link", name="CSV").click()
    path = await (await download.value).path()
    assert "烟雾报警" in await asyncio.to_thread(path.read_text, "utf-8-sig")


async def test_an_alarm_is_acknowledged_and_put_aside_and_the_station_hears_of_it(
    browser: Browser, hq_url: str, worker: Worker, link: TestStation, dispatcher: str
) -> None:
    seen = Seen()
    page = await browser.new_page(viewport=PHONE, locale="zh-CN")
    seen.watch(page, hq_url)
    door = raised("door_open", Severity.MINOR, "sensor:cabinet-1")
    await link.committed(await link.send(Lane.ALARM, door))
    await log_in(page, f"{hq_url}/alarms", dispatcher)
    await page.get_by_role("button", name="确认").click()
    await expect(page.locator(".alarm .mark")).to_have_text(f"{dispatcher} 已确认")
    await page.locator(".shelve summary").click()
    await page.locator("[name=reason]").fill("正在更换门锁")
    await page.locator("[name=hours]").select_option("4")
    await page.locator(".shelve button").click()
    await expect(page.locator(".alarm")).to_contain_text(f"{dispatcher} 已搁置")
    await expect(page.locator("#alarms")).to_have_text("未消除 0 · 已搁置 1")
    await expect(page.locator("[data-part=counts] a[href$=shelved]")).to_have_text("1")
    told = [(await link.commands.get())[1] for _ in range(2)]
    assert {type(command) for command in told} == {AcknowledgeAlarm, ShelveAlarm}
    assert {command.alarm_id for command in told} == {door.alarm_id}  # type: ignore[attr-defined]
    await page.get_by_role("link", name="柜门打开").click()
    await expect(page.locator("[data-part=history]")).to_contain_text("正在更换门锁")
    assert seen == Seen()


async def test_alarms_name_things_as_the_station_does(
    browser: Browser,
    hq_url: str,
    worker: Worker,
    link: TestStation,
    sessions: Sessions,
    station: Station,
    dispatcher: str,
) -> None:
    hall = {"title_zh": "大厅烟感", "title_en": "Hall smoke detector"}
    device = {"name": "smoke-a", "line": "rs485", "unit_id": 3, "profile": "smoke", "zone": "A"}
    document = {
        "devices": [device | hall],
        "zones": [{"name": "A", "title_zh": "北区", "title_en": "North row"}],
    }
    async with sessions() as session, session.begin():
        await publish(
            session,
            operator_id=station.operator_id,
            station_id=station.id,
            document=document,
            expected=0,
            by="li",
            now=datetime.now(UTC),
        )
    smoke = raised("smoke", Severity.CRITICAL, "sensor:smoke-a/smoke")
    others = ("zone:A", "sensor:other/smoke", f"connector:{NUMBER}:2", f"charge_point:{NUMBER}")
    more = [raised("door_open", Severity.MINOR, each) for each in others]
    await link.committed(await link.send(Lane.ALARM, smoke, *more, tripped(smoke)))
    page = await browser.new_page(viewport=WALL, locale="en-GB")
    await log_in(page, f"{hq_url}/", dispatcher)
    tail = NUMBER[-6:]
    for path in ("/", "/alarms"):
        await page.goto(f"{hq_url}{path}")
        for words in (
            "Hall smoke detector · smoke",
            "North row",
            "Sensor other/smoke",
            f"{tail} #2",
            f"Charge point …{tail}",
        ):
            await expect(page.locator("ul.alarms")).to_contain_text(words)
        await expect(page.locator("ul.alarms")).not_to_contain_text(NUMBER)
    await page.goto(f"{hq_url}/alarms?lang=zh")
    await expect(page.locator("ul.alarms")).to_contain_text("大厅烟感")
    await page.locator(".alarm.is-critical a").click()
    await expect(page.locator("[data-part=alarm]")).to_contain_text("大厅烟感")
    await expect(page.locator("[data-part=trips]")).to_contain_text("北区")


async def test_filters_narrow_the_list_and_say_when_nothing_fits(
    browser: Browser, hq_url: str, worker: Worker, link: TestStation, sessions: Sessions
) -> None:
    viewer = await staff(sessions, Role.VIEWER)
    doors = [raised("door_open", Severity.MINOR, f"sensor:cabinet-{n}") for n in range(4)]
    smoke = raised("smoke", Severity.CRITICAL, "zone:A", drill=True)
    await link.committed(await link.send(Lane.ALARM, *doors, smoke))
    page = await browser.new_page(viewport=WALL, locale="en-GB")
    await log_in(page, f"{hq_url}/alarms", viewer)
    await expect(page.locator(".alarm")).to_have_count(5)
    await expect(page.locator(".alarm button")).to_have_count(0)  # a viewer only looks
    await expect(page.locator(".group")).to_contain_text("× 4")
    await page.locator("[name=severity]").select_option("critical")
    await page.get_by_role("button", name="Show").click()
    await expect(page.locator(".alarm")).to_have_count(1)
    await expect(page.locator(".alarm")).to_contain_text("(drill)")
    await page.locator("[name=drill]").select_option("no")
    await page.get_by_role("button", name="Show").click()
    await expect(page.locator(".empty")).to_contain_text("No alarm matches these filters.")
    await page.goto(f"{hq_url}/alarms?severity=&drill=&since=x&until=9999-99-99&view=nonsense")
    await expect(page.locator(".alarm")).to_have_count(5)
    async with page.expect_download() as download:
        await page.get_by_role("link", name="CSV").click()
    path = await (await download.value).path()
    text = await asyncio.to_thread(path.read_text, "utf-8-sig")
    assert len(text.splitlines()) == 6


async def test_the_overview_shows_the_worst_first_and_leads_to_it(
    browser: Browser, hq_url: str, worker: Worker, link: TestStation, dispatcher: str, api: FastAPI
) -> None:
    page = await browser.new_page(viewport=WALL, locale="en-GB")
    door = raised("door_open", Severity.MINOR, "sensor:cabinet")
    drill = raised("siren_drill", Severity.INFO, "station", drill=True)
    await link.committed(await link.send(Lane.ALARM, door, drill))
    await log_in(page, f"{hq_url}/", dispatcher)
    await api.state.alarm_feed.listening.wait()
    smoke = raised("smoke", Severity.CRITICAL, "zone:A")
    await link.send(Lane.ALARM, smoke)
    first = page.locator("[data-part=alarms] .alarm").first
    await expect(first).to_contain_text("Smoke", timeout=4000)
    await page.get_by_role("navigation", name="Pages").get_by_role("link", name="Alarms").click()
    await page.wait_for_url(re.compile(r"/alarms$"))


async def test_pages_of_alarms_fit_every_screen_language_and_theme(
    browser: Browser,
    hq_url: str,
    worker: Worker,
    link: TestStation,
    dispatcher: str,
    tmp_path: Path,
) -> None:
    seen = Seen()
    context = await browser.new_context(viewport=PHONE, locale="en-GB")
    page = await context.new_page()
    seen.watch(page, hq_url)
    smoke = raised("smoke", Severity.CRITICAL, "sensor:smoke-a/contact-with-a-long-name")
    doors = [raised("door_open", Severity.MINOR, f"connector:{NUMBER}:{n}") for n in range(3)]
    drill = raised("siren_drill", Severity.INFO, "station", drill=True)
    await link.committed(await link.send(Lane.ALARM, smoke, *doors, drill, tripped(smoke)))
    await log_in(page, f"{hq_url}/alarms", dispatcher)
    await expect(page.locator(".alarm").first).to_contain_text("Smoke")
    await expect(page.locator(".alarm").last).to_contain_text("Siren drill")
    href = await page.get_by_role("link", name="Smoke").get_attribute("href")
    assert href
    assert UUID(href.rpartition("/")[2])
    for size in (PHONE, WALL):
        await page.set_viewport_size(size)
        for lang, theme in (("zh", "light"), ("zh", "dark"), ("en", "light"), ("en", "dark")):
            for path in ("/alarms", href):
                await page.goto(f"{hq_url}{path}?lang={lang}&theme={theme}")
                wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
                assert wide <= 0, f"{wide} px too wide: {path} {size} {lang} {theme}"
                name = f"{'list' if path == '/alarms' else 'one'}-{size['width']}-{lang}-{theme}"
                await page.screenshot(path=tmp_path / f"{name}.png", full_page=True)
    assert seen == Seen()


async def test_forms_of_other_sites_acknowledge_nothing(
    browser: Browser, hq_url: str, worker: Worker, link: TestStation, dispatcher: str
) -> None:
    page = await browser.new_page(locale="en-GB")
    await link.committed(await link.send(Lane.ALARM, raised("smoke", Severity.CRITICAL, "zone:A")))
    await log_in(page, f"{hq_url}/alarms", dispatcher)
    action = await page.locator(".alarm form").get_attribute("action")
    answer = await page.request.post(f"{hq_url}{action}", form={"next": "/alarms"})
    assert answer.status == 403
    await page.reload()
    await expect(page.get_by_role("button", name="Acknowledge")).to_have_count(1)
