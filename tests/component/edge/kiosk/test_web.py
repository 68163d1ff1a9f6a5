"""The screen as a page: of this computer alone, for pages of its own, and a few at a time."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from playwright.async_api import Request, async_playwright

from edge.kiosk.web import SCREENS_MAX
from tests.component.cloud.web.browser import CHROMIUM, needs_chromium
from tests.fakes.agent_socket import FakeAgent, serving
from tests.fakes.stations import burning, calm, smoke

_ADDRESS = re.compile(rb"screen at (http://\S+)")
_LIMIT_S = 20.0


@asynccontextmanager
async def page_server(socket: Path) -> AsyncIterator[str]:
    """Run `vw edge kiosk-web`; gives its address."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ops.cli", "edge", "kiosk-web", "--socket", str(socket),
        "--port", "0", "--language", "zh", stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    said = b""
    async with asyncio.timeout(_LIMIT_S):
        while not (found := _ADDRESS.search(said)):
            line = await process.stderr.readline()
            assert line, said.decode()
            said += line
    draining = asyncio.create_task(process.stderr.read())
    try:
        yield found[1].decode()
    finally:
        process.terminate()
        await process.wait()
        await draining


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[tuple[str, FakeAgent]]:
    socket = folder / "agent.sock"
    async with serving(socket, calm()) as agent, page_server(socket) as address:
        yield address, agent


@needs_chromium
async def test_a_browser_sees_the_wall_and_acknowledges_without_any_other_address(
    tmp_path: Path,
) -> None:
    async with served(tmp_path) as (address, agent), async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await browser.new_page(viewport={"width": 1300, "height": 700})
        asked: list[str] = []
        wrong: list[str] = []

        def note(request: Request) -> None:
            asked.append(request.url)

        page.on("request", note)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        await page.goto(address)
        await page.wait_for_selector("body.-first-byte", state="attached")
        agent.show(burning(smoke()))
        async with asyncio.timeout(_LIMIT_S):
            while not agent.requests:
                await page.locator(".xterm-helper-textarea").press("a")
                await asyncio.sleep(0.2)
        assert agent.requests[0]["by"] == "web screen"
        assert all(url.startswith((address, "data:")) for url in asked), asked
        assert wrong == []
        # Without one of its own, a browser asks for /favicon.ico, which is not there.
        icon = await page.locator("link[rel=icon]").get_attribute("href")
        assert icon
        assert icon.startswith("data:image/svg+xml,%3Csvg")
        if folder := os.environ.get("KIOSK_PICTURES"):
            await page.screenshot(path=Path(folder) / "web.png")
        await browser.close()


async def test_a_page_of_somebody_else_opens_no_screen(tmp_path: Path) -> None:
    async with served(tmp_path) as (address, _), aiohttp.ClientSession() as session:
        foreign = {"Origin": "http://evil.example"}
        async with session.get(f"{address}ws", headers=foreign) as answer:
            assert answer.status == 403
        # A foreign name that was made to lead to this computer.
        rebound = {"Origin": "http://evil.example", "Host": "evil.example"}
        async with session.get(f"{address}ws", headers=rebound) as answer:
            assert answer.status == 403


async def test_there_is_room_for_a_few(tmp_path: Path) -> None:
    async with served(tmp_path) as (address, _), aiohttp.ClientSession() as session:
        sockets = [await session.ws_connect(f"{address}ws") for _ in range(SCREENS_MAX)]
        async with session.get(f"{address}ws") as answer:
            assert answer.status == 503
        await sockets.pop().close()
        async with asyncio.timeout(_LIMIT_S):
            while True:
                try:
                    sockets.append(await session.ws_connect(f"{address}ws"))
                    break
                except aiohttp.WSServerHandshakeError:
                    await asyncio.sleep(0.05)
        for open_socket in sockets:
            await open_socket.close()


async def test_the_page_names_no_other_address(tmp_path: Path) -> None:
    async with served(tmp_path) as (address, _), aiohttp.ClientSession() as session:
        async with session.get(address) as answer:
            page = await answer.text()
            assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert "://" not in page
        for name in ("static/js/textual.js", "static/css/xterm.css"):
            async with session.get(f"{address}{name}") as answer:
                assert answer.status == 200
