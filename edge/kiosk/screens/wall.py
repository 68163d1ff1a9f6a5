"""The wall."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType

from edge.kiosk.ink import Frame
from edge.kiosk.paint.setup import notices
from edge.kiosk.paint.wall import wall
from edge.kiosk.screens.base import COMMON, KioskScreen
from edge.kiosk.screens.detail import DetailScreen
from edge.kiosk.views import wall as views

if TYPE_CHECKING:
    from edge.view import StationView


class WallScreen(KioskScreen):
    """The wall: rotates its pages, moves a cursor over the charge points."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *COMMON,
        Binding("left", "move(-1)"),
        Binding("right", "move(1)"),
        Binding("up", "row(-1)"),
        Binding("down", "row(1)"),
        Binding("enter", "enter"),
        Binding("space", "acknowledge"),
        Binding("pagedown", "turn(1)"),
        Binding("pageup", "turn(-1)"),
    ]
    KEYS = (
        ("A", "acknowledge"),
        ("L", "language"),
        ("V", "alarms"),
        ("R", "responder"),
        ("E", "trends"),
        ("Y", "system"),
        ("P", "stop"),
        ("S", "silence"),
        ("T", "drill"),
        ("F1", "help"),
    )

    def __init__(self) -> None:
        super().__init__()
        self.page = 0
        self.chosen = ""

    def redraw(self) -> None:
        """Paint; before the agent was heard for the first time, say so."""
        size = self.size
        if self.kiosk.station is None and self.is_mounted and size.width and size.height:
            frame = notices(self.kiosk.waiting(), self.look, size.width, size.height)
            self.canvas.show(frame)
            return
        super().redraw()

    def paint(self, view: StationView, size: tuple[int, int]) -> Frame:
        """Return the wall."""
        pinned = views.pinned_page(view)
        shown = views.wall(
            view,
            self.look,
            page=self.page if pinned is None else pinned,
            stale=self.kiosk.stale,
            chosen=self.chosen,
            guide=self.kiosk.guide,
        )
        return wall(shown, self.look, self.hints(), *size)

    def rotate(self) -> None:
        """Turn to the next page; with one page this changes nothing."""
        view = self.kiosk.station
        if view is not None:
            self.page = (self.page + 1) % views.page_count(view)
            self.redraw()

    def rest(self) -> None:
        """Take the cursor away: nobody is there."""
        self.chosen = ""

    def action_turn(self, pages: int) -> None:
        """Turn the page."""
        view = self.kiosk.station
        if view is not None:
            self.page = (self.page + pages) % views.page_count(view)
            self.kiosk.hold_page()
            self.redraw()

    def action_move(self, steps: int) -> None:
        """Move the cursor, over the pages as well."""
        view = self.kiosk.station
        if view is None or not view.charge_points:
            return
        numbers = [entry.charge_point_no for entry in view.charge_points]
        if self.chosen in numbers:
            index = (numbers.index(self.chosen) + steps) % len(numbers)
        else:
            index = self.page * views.PAGE_CARDS
        self.chosen = numbers[min(index, len(numbers) - 1)]
        self.page = numbers.index(self.chosen) // views.PAGE_CARDS
        self.kiosk.hold_page()
        self.redraw()

    def action_row(self, rows: int) -> None:
        """Move the cursor by a row of cards."""
        self.action_move(rows * (4 if self.size.width >= 100 else 3))

    def action_enter(self) -> None:
        """Acknowledge what calls; else open the chosen charge point."""
        if self.kiosk.calls():
            self.kiosk.acknowledge()
        elif self.chosen:
            self.action_detail(self.chosen)

    def action_detail(self, charge_point_no: str) -> None:
        """Open a charge point."""
        self.chosen = charge_point_no
        self.kiosk.push_screen(DetailScreen(charge_point_no))
