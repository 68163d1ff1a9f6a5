"""HQ served in this process, and a browser to look at it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
import uvicorn
from fastapi import FastAPI
from playwright.async_api import Browser, async_playwright, expect

from tests.component.cloud.web.browser import CHROMIUM

# What a page shows at last; where it promises when, the test says so itself.
expect.set_options(timeout=20_000)


@pytest.fixture
async def hq_url(api: FastAPI) -> AsyncIterator[str]:
    """The address of HQ, served in this process."""
    config = uvicorn.Config(api, port=0, lifespan="off", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(20):
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = server.force_exit = True
    await serving


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        # Its own sandbox does not work for root in a container; it only sees our own pages.
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        # Chromium on a busy machine may forget to answer; the end of its driver ends it too.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(20):
                await browser.close()
