"""Who looks at pages, on which screens, and what every page owes them."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from playwright.async_api import Page, ViewportSize, expect

from cloud.core.db import Sessions
from cloud.core.security import Role
from cloud.identity.service import create_staff
from cloud.stations.service import ensure_operator
from tests.component.cloud.conftest import PASSWORD

PHONE: ViewportSize = {"width": 390, "height": 844}
WALL: ViewportSize = {"width": 1920, "height": 1080}
LOOKS = (("zh", "light"), ("zh", "dark"), ("en", "light"), ("en", "dark"))


async def staff(sessions: Sessions, role: Role) -> str:
    """Make somebody with a role; return the name to log in with."""
    name = f"{role}-{uuid4().hex[:6]}"
    now = datetime.now(UTC)
    async with sessions() as session, session.begin():
        operator = await ensure_operator(session, name="Test", now=now)
        await create_staff(
            session,
            operator_id=operator.id,
            username=name,
            password=PASSWORD,
            role=role,
            now=now,
        )
    return name


async def log_in(page: Page, url: str, name: str) -> None:
    """Go to a page that needs a log-in, log in, and wait until it is live."""
    await page.goto(url)
    await page.fill("#username", name)
    await page.fill("#password", PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page.locator("#link[data-now=live]")).to_be_visible(timeout=30_000)


async def form_token(page: Page) -> str:
    """Return what forms of this page carry: with it, only the role decides."""
    return await page.locator('form[action="/logout"] [name=csrf_token]').input_value()


async def fits_everywhere(page: Page, home: str, *paths: str) -> None:
    """Check that pages are no wider than their screen and wholly in the language chosen."""
    for size in (PHONE, WALL):
        await page.set_viewport_size(size)
        for lang, theme in LOOKS:
            for path in paths:
                await page.goto(
                    f"{home}{path}{'&' if '?' in path else '?'}lang={lang}&theme={theme}"
                )
                wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
                assert wide <= 0, f"{wide} px too wide: {path} {size} {lang} {theme}"
                html = page.locator("html")
                await expect(html).to_have_attribute("lang", "zh-CN" if lang == "zh" else "en")
                await expect(page.locator("h1")).to_have_count(1)
