"""The trends of the sensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from textual.binding import Binding, BindingType

from edge.kiosk.ink import Frame
from edge.kiosk.paint import trend as paint
from edge.kiosk.screens.base import KioskScreen
from edge.kiosk.views import trend as views
from edge.view import TrendPoint

if TYPE_CHECKING:
    from edge.view import StationView

REFRESH_S = 30.0
_HOURS_DEFAULT = 1  # index into HOURS: six


class TrendScreen(KioskScreen):
    """One point's curve at a time: up and down choose the point, left and right the hours."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)"),
        Binding("down", "move(1)"),
        Binding("left", "hours(-1)"),
        Binding("right", "hours(1)"),
    ]
    KEYS = (("Esc", "back"), ("↓", "move(1)"), ("→", "hours(1)"), ("L", "language"))

    def __init__(self) -> None:
        super().__init__()
        self._key: tuple[str, str] = ("", "")
        self._hours = _HOURS_DEFAULT
        self._points: list[TrendPoint] | None = None
        self._error = ""

    def on_mount(self) -> None:
        """Fetch now and from time to time."""
        self.set_interval(REFRESH_S, self.fetch)
        self.fetch()

    def paint(self, view: StationView, size: tuple[int, int]) -> Frame:
        """Return the page."""
        shown = views.trend(
            view,
            self.look,
            chosen=self._index(view),
            hours=views.HOURS[self._hours],
            points=self._points,
            columns=paint.chart_columns(size[0]),
            message=self._error,
            stale=self.kiosk.stale,
        )
        return paint.trend(shown, self.look, self.hints(), size)

    def _index(self, view: StationView) -> int:
        for index, point in enumerate(views.plottable(view)):
            if (point.device, point.point) == self._key:
                return index
        return 0

    def fetch(self) -> None:
        """Ask the agent for the chosen curve."""
        self.run_worker(self._fetch(), exclusive=True, group="trend")

    async def _fetch(self) -> None:
        view = self.kiosk.station
        known = views.plottable(view) if view is not None else []
        if view is None or not known:
            return
        point = known[self._index(view)]
        request = {
            "do": "trend",
            "device": point.device,
            "point": point.point,
            "hours": views.HOURS[self._hours],
        }
        answer = await self.kiosk.link.ask(request)
        self._take(answer)
        self.redraw()

    def _take(self, answer: dict[str, Any]) -> None:
        if not answer.get("ok"):
            self._error = self.kiosk.in_words(answer)
            return
        self._error = ""
        self._points = msgspec.convert(answer.get("steps", []), list[TrendPoint])

    def action_move(self, steps: int) -> None:
        """Choose another point."""
        view = self.kiosk.station
        known = views.plottable(view) if view is not None else []
        if view is not None and known:
            self.action_choose((self._index(view) + steps) % len(known))

    def action_choose(self, index: int) -> None:
        """Choose a point by its place."""
        view = self.kiosk.station
        known = views.plottable(view) if view is not None else []
        if index < len(known):
            self._key = (known[index].device, known[index].point)
            self._restart()

    def action_hours(self, steps: int) -> None:
        """Choose how far back."""
        self._hours = (self._hours + steps) % len(views.HOURS)
        self._restart()

    def _restart(self) -> None:
        self._points = None
        self.fetch()
        self.redraw()
