"""Making, changing and removing channels and chains in a real browser, and who may not."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import httpx
from playwright.async_api import Browser, Page, expect
from sqlmodel import select

from cloud.alarms.notify import service
from cloud.alarms.notify.models import Channel, ChannelKind, Rule
from cloud.core.db import Sessions
from cloud.core.security import Role
from cloud.stations.models import Station
from tests.component.cloud.web.browser import Seen, needs_chromium
from tests.component.cloud.web.people import PHONE, WALL, fits_everywhere, form_token, log_in, staff

pytestmark = needs_chromium


async def signed_in(browser: Browser, hq_url: str, sessions: Sessions, role: Role) -> Page:
    page = await (await browser.new_context(viewport=WALL, locale="en-GB")).new_page()
    await log_in(page, f"{hq_url}/notices", await staff(sessions, role))
    return page


async def a_channel(sessions: Sessions, station: Station, name: str = "duty") -> Channel:
    async with sessions() as session, session.begin():
        return await service.create_channel(
            session,
            operator_id=station.operator_id,
            name=name,
            kind=ChannelKind.LOG,
            target="",
            language="en",
            by="li",
            now=datetime.now(UTC),
        )


async def test_a_channel_and_a_chain_are_made_changed_and_removed(
    browser: Browser, hq_url: str, sessions: Sessions, station: Station
) -> None:
    page = await signed_in(browser, hq_url, sessions, Role.ADMIN)
    await page.get_by_role("link", name="New channel").click()
    await page.fill("[name=name]", "duty")
    await page.fill("[name=target]", "https://203.0.113.9/x")
    await page.get_by_role("button", name="Make").click()
    await expect(page.locator("#wrong")).to_contain_text("No notice would reach this address")
    await expect(page.locator("[name=name]")).to_have_value("duty")
    await page.fill("[name=target]", "https://1.1.1.1/x")
    await page.get_by_role("button", name="Make").click()
    secret = await page.locator(".once code").inner_text()
    await page.get_by_role("link", name="I have kept it").click()
    await page.get_by_role("link", name="duty").click()
    assert secret.startswith("whsec_")
    assert secret not in await page.content()
    await page.fill("[name=name]", "night")
    await page.get_by_role("button", name="Save").click()

    await page.get_by_role("link", name="New chain").click()
    await page.fill("[name=name]", "fires")
    await page.get_by_role("button", name="Make").click()
    await expect(page.locator("#wrong")).to_contain_text("At least one step")
    await page.select_option("[name=codes]", ["smoke"])
    await page.select_option("[name=stations]", [station.station_no])
    await page.locator("[name=after_min]").nth(0).fill("15")
    await page.locator("[name=channel_id]").nth(0).select_option(label="night")
    await page.locator("[name=channel_id]").nth(1).select_option(label="night")
    await page.get_by_role("button", name="Make").click()
    rule = page.locator("[data-part=rules] tbody tr")
    await expect(rule).to_contain_text("at once night → after 15 min night")
    await expect(rule).to_contain_text("Smoke")

    await page.get_by_role("link", name="night").click()
    await page.locator("summary", has_text="Remove").click()
    await page.get_by_role("button", name="Remove for good").click()
    await expect(page.locator("[role=alert]")).to_contain_text("The chain fires uses this channel")
    await page.goto(f"{hq_url}/notices")
    await page.get_by_role("link", name="fires").click()
    await expect(page.locator("[name=stations]")).to_have_values([station.station_no])
    await page.uncheck("[name=active]")
    await page.get_by_role("button", name="Save").click()
    await expect(rule).to_contain_text("Off")
    await page.get_by_role("link", name="fires").click()
    await page.locator("summary", has_text="Remove").click()
    await page.get_by_role("button", name="Remove for good").click()
    await page.get_by_role("link", name="night").click()
    await page.locator("summary", has_text="Remove").click()
    await page.get_by_role("button", name="Remove for good").click()
    await expect(page.locator("[data-part=channels] .empty")).to_be_visible()
    async with sessions() as session:
        assert (await session.scalars(select(Channel))).all() == []
        assert (await session.scalars(select(Rule))).all() == []


async def test_only_administrators_of_the_operator_with_a_form_of_ours(
    browser: Browser, hq_url: str, sessions: Sessions, station: Station
) -> None:
    channel = await a_channel(sessions, station)
    foreign = await a_channel(sessions, station, "theirs")
    async with sessions() as session, session.begin():
        (await session.get_one(Channel, foreign.id)).operator_id = uuid4()
    shown = ["channels/new", "rules/new", f"channels/{channel.id}", f"rules/{uuid4()}"]
    posted = [*shown, f"channels/{channel.id}/remove", f"rules/{uuid4()}/remove"]
    page = await signed_in(browser, hq_url, sessions, Role.VIEWER)
    token = {"csrf_token": await form_token(page)}
    for path in shown:
        assert (await page.request.get(f"{hq_url}/notices/{path}")).status == 403
    for path in posted:
        answer = await page.request.post(f"{hq_url}/notices/{path}", form=token)
        assert answer.status == 403
    async with httpx.AsyncClient() as nobody:
        for path in posted:
            assert (await nobody.post(f"{hq_url}/notices/{path}")).status_code == 401
    page = await signed_in(browser, hq_url, sessions, Role.ADMIN)
    token = {"csrf_token": await form_token(page)}
    for path in posted:
        assert (
            await page.request.post(f"{hq_url}/notices/{path}", form={"name": "x"})
        ).status == 403
    for path in ("", "/remove"):
        url = f"{hq_url}/notices/channels/{foreign.id}{path}"
        assert (await page.request.post(url, form=token)).status == 404
    async with sessions() as session:
        assert len((await session.scalars(select(Channel))).all()) == 2


async def test_the_forms_fit_every_screen_language_and_theme(
    browser: Browser, hq_url: str, sessions: Sessions, station: Station
) -> None:
    channel = await a_channel(sessions, station, "w" * 64)
    page = await signed_in(browser, hq_url, sessions, Role.ADMIN)
    seen = Seen()
    seen.watch(page, hq_url)
    await page.set_viewport_size(PHONE)
    await fits_everywhere(
        page,
        hq_url,
        "/notices/channels/new",
        f"/notices/channels/{channel.id}",
        "/notices/rules/new",
    )
    assert seen == Seen()
