"""The page of notices in a real browser: who is told, in which order, and what became of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.async_api import Browser, expect
from sqlmodel import select

from cloud.alarms.notify import service
from cloud.alarms.notify.models import Channel, ChannelKind, Notice, NoticeState
from cloud.core.db import Sessions
from cloud.core.security import Role
from cloud.settings import Settings, load
from cloud.stations.models import Station
from cloud.worker import Worker
from shared.contracts.events import AlarmRaised
from shared.contracts.topics import Lane
from shared.contracts.words import Severity
from tests.component.cloud.conftest import TestStation
from tests.component.cloud.web.browser import Seen, needs_chromium
from tests.component.cloud.web.people import PHONE, WALL, fits_everywhere, form_token, log_in, staff

pytestmark = needs_chromium


@pytest.fixture
def settings(hq_config: Path) -> Settings:
    """Without alarms that stations are away: those here send nothing of themselves."""
    hq_config.write_text(hq_config.read_text().replace("presence_s = 2", "presence_s = 150"))
    return load(hq_config)


@pytest.fixture
async def admin(sessions: Sessions, station: Station) -> str:
    return await staff(sessions, Role.ADMIN)


@pytest.fixture
async def channel(sessions: Sessions, station: Station) -> Channel:
    """A channel to HQ's log, and a chain that tells it of everything at once."""
    now = datetime.now(UTC)
    async with sessions() as session, session.begin():
        channel = await service.create_channel(
            session,
            operator_id=station.operator_id,
            name="duty",
            kind=ChannelKind.LOG,
            target="",
            language="en",
            by="li",
            now=now,
        )
        values = {
            "name": "everything",
            "severity": Severity.INFO,
            "codes": [],
            "station_ids": [],
            "drills": True,
            "chain": [[0, str(channel.id)], [10, str(channel.id)]],
            "repeat_min": 30,
            "on_clear": True,
            "burst_s": 0,
            "active": True,
        }
        await service.save_rule(
            session, operator_id=station.operator_id, values=values, by="li", now=now
        )
    return channel


async def test_an_alarm_is_told_and_the_page_says_so(
    browser: Browser,
    hq_url: str,
    worker: Worker,
    link: TestStation,
    channel: Channel,
    admin: str,
) -> None:
    seen = Seen()
    page = await browser.new_page(viewport=WALL, locale="en-GB")
    seen.watch(page, hq_url)
    await log_in(page, f"{hq_url}/notices", admin)
    await expect(page.locator("[data-part=notices] .empty")).to_contain_text("Nobody was told")
    rule = page.locator("[data-part=rules] tbody tr")
    await expect(rule).to_contain_text("at once duty → after 10 min duty")
    await expect(rule).to_contain_text("reminders every 30 min · also when it is over")
    smoke = AlarmRaised(
        occurred_at=datetime.now(UTC),
        alarm_id=uuid4(),
        code="smoke",
        severity=Severity.CRITICAL,
        object="zone:A",
    )
    await link.committed(await link.send(Lane.ALARM, smoke))
    row = page.locator("[data-part=notices] tbody tr")
    await expect(row).to_contain_text("Smoke", timeout=15_000)
    await expect(row.locator(".is-sent")).to_have_text("✔Sent", timeout=15_000)
    await page.get_by_role("button", name="Send a test").click()
    await expect(row).to_have_count(2)
    await expect(row.first).to_contain_text("Test")
    await row.last.get_by_role("link", name="Smoke").click()
    await expect(page.locator("h1")).to_have_text("Smoke")
    assert seen == Seen()


async def add(sessions: Sessions, channel: Channel, **fields: object) -> None:
    now = datetime.now(UTC)
    async with sessions() as session, session.begin():
        notice = await service.send_test(session, channel, now=now)
        notice.next_try_at = None
        for name, value in fields.items():
            setattr(notice, name, value)
        session.add(notice)


async def test_what_failed_says_why_and_is_tried_again(
    browser: Browser,
    hq_url: str,
    sessions: Sessions,
    channel: Channel,
    admin: str,
) -> None:
    """Without a worker: nothing is sent while somebody looks."""
    later = datetime.now(UTC) + timedelta(minutes=4)
    await add(sessions, channel, tries=2, next_try_at=later, last_error="TimeoutError: 10 s")
    await add(sessions, channel, state=NoticeState.DEAD, tries=5, last_error="HTTP 500")
    page = await browser.new_page(viewport=PHONE, locale="en-GB")
    await log_in(page, f"{hq_url}/notices", admin)
    rows = page.locator("[data-part=notices] tbody tr")
    await expect(rows.nth(1)).to_contain_text("Trying again")
    await expect(rows.nth(1)).to_contain_text("tried 2 × · next")
    await expect(rows.nth(1)).to_contain_text("TimeoutError: 10 s")
    await expect(rows.nth(0)).to_contain_text("Given up")
    await expect(rows.nth(0)).to_contain_text("HTTP 500")
    await page.get_by_role("link", name="Given up").click()
    await expect(rows).to_have_count(1)
    await page.get_by_role("button", name="Try again").click()
    await expect(page.locator("[data-part=notices] .empty")).to_contain_text("in this state")
    await page.get_by_role("link", name="Clear filters").click()
    await expect(rows.nth(0)).to_contain_text("Waiting")
    # Switched off, a channel sends nothing, not even what waits.
    await page.get_by_role("button", name="Switch off").click()
    await expect(rows.nth(0)).to_contain_text("channel switched off")
    await expect(page.get_by_role("button", name="Send a test")).to_be_disabled()
    async with sessions() as session:
        assert not (await session.get_one(Channel, channel.id)).active


async def test_others_see_notices_and_no_addresses(
    browser: Browser,
    hq_url: str,
    sessions: Sessions,
    channel: Channel,
) -> None:
    viewer = await staff(sessions, Role.VIEWER)
    await add(sessions, channel, state=NoticeState.DEAD, tries=5, last_error="HTTP 500")
    page = await browser.new_page(viewport=WALL, locale="en-GB")
    await log_in(page, f"{hq_url}/notices", viewer)
    await expect(page.locator("main form")).to_have_count(0)
    await expect(page.locator("[data-part=channels], [data-part=rules]")).to_have_count(0)
    await expect(page.locator("[data-part=notices]")).to_contain_text("duty")
    async with sessions() as session:
        [notice] = (await session.scalars(select(Notice))).all()
    paths = (f"channels/{channel.id}/test", f"channels/{channel.id}/switch")
    form = {"active": "false", "csrf_token": await form_token(page)}
    for path in (*paths, f"{notice.id}/redeliver"):
        answer = await page.request.post(f"{hq_url}/notices/{path}", form=form)
        assert answer.status == 403


async def test_notices_fit_every_screen_language_and_theme(
    browser: Browser,
    hq_url: str,
    sessions: Sessions,
    channel: Channel,
    admin: str,
) -> None:
    seen = Seen()
    page = await (await browser.new_context(viewport=PHONE, locale="en-GB")).new_page()
    seen.watch(page, hq_url)
    await add(sessions, channel, state=NoticeState.DEAD, tries=5, last_error="x" * 500)
    await log_in(page, f"{hq_url}/notices", admin)
    await fits_everywhere(page, hq_url, "/notices")
    assert seen == Seen()
