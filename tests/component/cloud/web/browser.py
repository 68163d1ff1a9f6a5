"""Chromium for tests: Debian's own. Where it is missing, one loud skip says how to get it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.async_api import Page

CHROMIUM = Path(os.environ.get("VW_CHROMIUM", "/usr/bin/chromium"))

needs_chromium = pytest.mark.skipif(
    not CHROMIUM.exists(),
    reason=f"*** {CHROMIUM} is missing: PAGES ARE NOT SEEN BY A BROWSER. "
    "apt-get install chromium fonts-noto-cjk, or VW_CHROMIUM=PATH ***",
)


@dataclass
class Seen:
    """What a page said and asked for beside what it shows."""

    complaints: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def watch(self, page: Page, home: str) -> None:
        page.on(
            "console",
            lambda message: (
                self.complaints.append(message.text)
                if message.type in ("error", "warning")
                else None
            ),
        )
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on(
            "request",
            lambda request: (
                None if request.url.startswith(home) else self.foreign.append(request.url)
            ),
        )
