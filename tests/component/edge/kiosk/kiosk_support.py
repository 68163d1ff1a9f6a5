"""A kiosk in this process, on a terminal that exists only in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from textual.pilot import Pilot

from edge.kiosk.app import KioskApp
from edge.kiosk.canvas import Canvas
from edge.kiosk.ink import EMPTY, Frame
from edge.kiosk.look import Language, Look
from edge.kiosk.screens.alarm import AlarmScreen
from edge.kiosk.screens.base import KioskScreen
from edge.view import StationView
from shared.clock import Clock, SystemClock
from tests.fakes.agent_socket import FakeAgent, serving

PATIENCE_S = 10.0


class Kiosk(NamedTuple):
    """A running screen and the agent that it watches."""

    app: KioskApp
    pilot: Pilot[None]
    agent: FakeAgent

    @property
    def frame(self) -> Frame:
        top = self.app.screen
        return top.canvas.frame if isinstance(top, KioskScreen) else EMPTY

    @property
    def text(self) -> str:
        lines = ("".join(span.text for span in line) for line in self.frame.lines)
        return "\n".join(lines)

    @property
    def on_top(self) -> str:
        return type(self.app.screen).__name__

    async def until(self, condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
        """Wait for a condition; fails after a while with what is on the screen."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + patience_s
        while not condition():
            assert loop.time() < end_s, f"{self.on_top}\n{self.text}"
            await self.pilot.pause(0.01)

    async def shows(self, text: str, patience_s: float = PATIENCE_S) -> None:
        await self.until(lambda: text in self.text, patience_s)

    async def stands_on(self, screen: str, patience_s: float = PATIENCE_S) -> None:
        await self.until(lambda: self.on_top == screen, patience_s)

    async def sees_the_alarm(self) -> None:
        """Wait until an alarm was on the screen for as long as people need to see it."""
        await self.until(
            lambda: isinstance(self.app.screen, AlarmScreen) and self.app.screen.is_seen
        )

    async def touch(self, action: str) -> None:
        """Click into the area that does `action`."""
        hit = next(hit for hit in reversed(self.frame.hits) if hit.action == action)
        offset = (hit.x + hit.width // 2, hit.y + hit.height // 2)
        await self.pilot.click(Canvas, offset=offset)


@asynccontextmanager
async def kiosk(
    folder: Path,
    view: StationView,
    *,
    size: tuple[int, int] = (106, 30),
    language: Language = Language.ZH,
    look: Look | None = None,
    clock: Clock | None = None,
    alternate: bool = False,
) -> AsyncIterator[Kiosk]:
    """Run a screen against an agent that shows `view`."""
    socket = folder / "agent.sock"
    async with serving(socket, view) as agent:
        app = KioskApp(
            socket,
            clock or SystemClock(),
            look=look or Look(language),
            name="tester",
            alternate=alternate,
        )
        async with app.run_test(size=size) as pilot:
            running = Kiosk(app, pilot, agent)
            await running.until(lambda: app.station is not None)
            await pilot.pause()
            yield running
