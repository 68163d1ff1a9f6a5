"""HQ's pages in a real browser, on real servers: what a person sees while a car charges."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest
from playwright.async_api import Browser, Page, expect

from cloud.core.db import Sessions
from cloud.core.security import Role
from cloud.identity.service import create_staff
from cloud.stations.models import Station
from cloud.stations.service import ensure_operator, register_charge_point
from cloud.worker import Worker
from ops.embedded.processes import free_port
from shared.contracts.commands import ChargePointConfig, Watch
from shared.contracts.events import AlarmRaised, ConnectorStatusChanged
from shared.contracts.live import LiveConnector, LiveUpdate, encode_live
from shared.contracts.topics import Lane, up
from shared.contracts.words import ConnectorStatus, Severity
from tests.component.cloud.conftest import NOW, PASSWORD, TestStation
from tests.component.cloud.web.browser import Seen, needs_chromium

pytestmark = needs_chromium

NUMBER = "55031412782305"
PHONE, WALL = {"width": 390, "height": 844}, {"width": 1920, "height": 1080}


@asynccontextmanager
async def hq_process(config: Path, port: int) -> AsyncIterator[str]:
    """HQ as a process of its own at a known port, killed at the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ops.cli", "hq", "serve", "--config", str(config)),
        env={**os.environ, "VW_HQ_WEB__PORT": str(port)},
        stderr=asyncio.subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        async with asyncio.timeout(40), httpx.AsyncClient(base_url=url) as client:
            while not await _answers(client):
                assert process.returncode is None, "HQ ended"
                await asyncio.sleep(0.1)
        yield url
    finally:
        process.kill()
        await process.wait()


async def _answers(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/healthz")).is_success
    except httpx.TransportError:
        return False


@pytest.fixture
async def viewer_name(sessions: Sessions, station: Station) -> str:
    name = f"viewer-{uuid4().hex[:6]}"
    async with sessions() as session, session.begin():
        operator = await ensure_operator(session, name="Test", now=NOW)
        await create_staff(
            session,
            operator_id=operator.id,
            username=name,
            password=PASSWORD,
            role=Role.VIEWER,
            now=NOW,
        )
        config = ChargePointConfig(charge_point_no=NUMBER, connector_count=2)
        await register_charge_point(session, station=station, config=config, now=NOW)
    return name


async def open_overview(page: Page, hq_url: str, name: str) -> None:
    await page.goto(f"{hq_url}/")
    await page.fill("#username", name)
    await page.fill("#password", PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page.locator("#link[data-now=live]")).to_be_visible(timeout=30_000)


async def keep_saying(link: TestStation, status: ConnectorStatus, power_w: int) -> None:
    while True:
        await send_live(link, status, power_w)
        await asyncio.sleep(0.5)


async def send_live(link: TestStation, status: ConnectorStatus, power_w: int) -> None:
    connector = LiveConnector(
        NUMBER,
        1,
        status,
        200,
        transaction_id=UUID(int=1),
        power_w=power_w,
        voltage_dv=4000,
        current_da=power_w * 100 // 4000,
        energy_dwh=123_456,
        amount_fen=1507,
        soc_percent=55,
        battery_temp_max_c=31,
        cable_temp_c=40,
        remaining_min=21,
    )
    at_ms = time.time_ns() // 1_000_000
    update = LiveUpdate(link.station_no, at_ms, False, (connector,))
    await link.client.publish(up(link.station_no, Lane.LIVE), encode_live(update), qos=0)


def changed(status: ConnectorStatus) -> ConnectorStatusChanged:
    return ConnectorStatusChanged(
        occurred_at=NOW,
        charge_point_no=NUMBER,
        connector_no=1,
        status=status,
        plugged_in=True,
        faults=0,
        transaction_id=UUID(int=1),
    )


async def test_a_charge_is_seen_within_two_seconds(
    browser: Browser, hq_url: str, worker: Worker, link: TestStation, viewer_name: str
) -> None:
    seen = Seen()
    page = await browser.new_page(viewport=WALL, locale="en-GB")
    seen.watch(page, hq_url)
    await open_overview(page, hq_url, viewer_name)
    tile = page.locator(f'[data-connector="{NUMBER}:1"]')
    await expect(tile).to_contain_text("Unknown")
    async with asyncio.timeout(20):
        _, command = await link.commands.get()
    assert isinstance(command, Watch)  # looking is what makes the station send values

    await link.committed(await link.send(Lane.STATE, changed(ConnectorStatus.CHARGING)))
    await expect(tile).to_contain_text("Charging", timeout=4000)
    await send_live(link, ConnectorStatus.CHARGING, 60_450)
    await expect(tile.locator("[data-cell=power]")).to_have_text("60.5", timeout=4000)
    await expect(tile.locator("[data-cell=energy]")).to_have_text("12.35")
    await expect(tile.locator("[data-cell=amount]")).to_have_text("¥15.07")
    # Totals come with the next look at the whole page.
    await expect(page.locator(".total", has_text="Charging now")).to_contain_text("1")

    alarm = AlarmRaised(
        occurred_at=NOW,
        alarm_id=uuid4(),
        code="battery_over_temperature",
        severity=Severity.CRITICAL,
        object=f"connector:{NUMBER}:1",
        params={"temperature_c": "61"},
    )
    await link.committed(await link.send(Lane.ALARM, alarm))
    alarms = page.locator("[data-part=alarms]")
    await expect(alarms).to_contain_text("Battery too hot, 61 °C")
    await expect(alarms).to_contain_text("Keep away from the vehicle")
    assert re.match(r"\([1-9]\d*\) Overview", await page.title())

    await expect(tile.locator("[data-cell=left]")).to_have_text("21")
    await link.committed(await link.send(Lane.STATE, changed(ConnectorStatus.FINISHED)))
    await expect(tile).to_contain_text("Finished", timeout=4000)
    await send_live(link, ConnectorStatus.FINISHED, 54_300)
    for cell, words in (("power", "–"), ("left", "–"), ("energy", "12.35")):
        await expect(tile.locator(f"[data-cell={cell}]")).to_have_text(words)
    await page.reload()
    for cell, words in (("power", "–"), ("left", "–"), ("energy", "12.35")):
        await expect(tile.locator(f"[data-cell={cell}]")).to_have_text(words)
    assert seen == Seen()


async def test_a_lost_hq_is_said_and_found_again(
    browser: Browser, hq_config: Path, worker: Worker, link: TestStation, viewer_name: str
) -> None:
    port = free_port()
    page = await browser.new_page(locale="en-GB")
    badge = page.locator("#link")
    async with hq_process(hq_config, port) as url:
        await open_overview(page, url, viewer_name)
        await expect(badge).to_have_text("● Live")
    await expect(badge).to_have_text("… Reconnecting", timeout=30_000)
    await expect(page.locator("#failure")).to_be_hidden()
    await expect(badge).to_have_text("✕ Stale", timeout=25_000)
    await expect(page.locator("#failure")).to_contain_text("HQ does not answer")
    async with hq_process(hq_config, port):
        await expect(badge).to_have_text("● Live")
        await expect(page.locator("#failure")).to_be_hidden()
        tile = page.locator(f'[data-connector="{NUMBER}:1"]')
        # A station says so each second: one word alone may come before HQ listens again.
        saying = asyncio.create_task(keep_saying(link, ConnectorStatus.CHARGING, 7_000))
        await expect(tile.locator("[data-cell=power]")).to_have_text("7.0", timeout=20_000)
        saying.cancel()
        await asyncio.wait({saying})


async def test_pages_fit_every_screen_language_and_theme(
    browser: Browser, hq_url: str, viewer_name: str, station: Station
) -> None:
    seen = Seen()
    context = await browser.new_context(viewport=PHONE, locale="en-GB")
    page = await context.new_page()
    seen.watch(page, hq_url)
    await open_overview(page, hq_url, viewer_name)
    for size in (PHONE, WALL):
        await page.set_viewport_size(size)
        for lang, theme in (("zh", "light"), ("zh", "dark"), ("en", "light"), ("en", "dark")):
            await page.goto(f"{hq_url}/?lang={lang}&theme={theme}")
            wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert wide <= 0, f"{wide} px too wide: {size} {lang} {theme}"
            name = station.name_zh if lang == "zh" else station.name_en
            await expect(page.locator("h2").first).to_contain_text(name)
    await page.goto(f"{hq_url}/nowhere")
    await expect(page.locator("h1")).to_have_text("Not found")
    seen.complaints = [each for each in seen.complaints if "404" not in each]
    assert seen == Seen()


async def test_the_first_view_needs_no_script_and_the_keyboard_is_enough(
    browser: Browser, hq_url: str, viewer_name: str, station: Station
) -> None:
    context = await browser.new_context(java_script_enabled=False, locale="zh-CN")
    page = await context.new_page()
    await page.goto(f"{hq_url}/")
    # The first field takes the focus by itself, a moment after the page is there.
    await expect(page.locator("input[name=username]")).to_be_focused()
    await page.keyboard.type(viewer_name)
    await page.keyboard.press("Tab")
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page.locator("h2").first).to_contain_text(station.name_zh)
    await expect(page.locator("meta[http-equiv=refresh]")).to_have_count(1)
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**#main")
    await page.locator("summary").focus()
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="退出登录").press("Enter")
    await expect(page.locator("h1")).to_have_text("登录")
