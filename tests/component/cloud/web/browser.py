"""Chromium for tests: Debian's own. Where it is missing, one loud skip says how to get it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

CHROMIUM = Path(os.environ.get("VW_CHROMIUM", "/usr/bin/chromium"))

needs_chromium = pytest.mark.skipif(
    not CHROMIUM.exists(),
    reason=f"*** {CHROMIUM} is missing: PAGES ARE NOT SEEN BY A BROWSER. "
    "apt-get install chromium fonts-noto-cjk, or VW_CHROMIUM=PATH ***",
)
