"""The screen's line to the agent: watches for as long as it runs, and asks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any, cast

from edge.local_api import ask, watch
from edge.view import StationView

logger = logging.getLogger(__name__)

RETRY_S = 0.5
HUNG_S = 5.0
"""Silence after which the connection is given up and made again."""
_ASK_S = 8.0


class Link:
    """Keeps watching `socket`; every view goes to `on_view`, every failure to `on_lost`."""

    def __init__(
        self,
        socket: Path,
        on_view: Callable[[StationView], None],
        on_lost: Callable[[Exception], None],
    ) -> None:
        self._socket = socket
        self._on_view = on_view
        self._on_lost = on_lost

    async def run(self) -> None:
        """Watch until cancelled; what goes wrong is tried again."""
        while True:
            try:
                await self._watch()
            except (OSError, ValueError) as error:  # TimeoutError is an OSError
                self._on_lost(error)
            await asyncio.sleep(RETRY_S)

    async def _watch(self) -> None:
        stream = cast("AsyncGenerator[StationView]", watch(self._socket))
        async with contextlib.aclosing(stream) as views:
            while True:
                async with asyncio.timeout(HUNG_S):
                    view = await anext(views)
                self._on_view(view)

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Ask the agent; an agent that does not answer is `{"ok": False, "error": ""}`."""
        try:
            return await ask(self._socket, request, _ASK_S)
        except (OSError, ValueError) as error:
            logger.warning("request failed do=%s error=%s", request.get("do"), error)
            return {"ok": False, "error": ""}
