"""Screens that are a page of text: they scroll, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType

from edge.kiosk.ink import Frame
from edge.kiosk.paint import page as paint
from edge.kiosk.screens.base import COMMON, KioskScreen
from edge.kiosk.views import pages, sheets
from edge.kiosk.views.page import PageView

if TYPE_CHECKING:
    from edge.view import StationView

_HEAD_ROWS = 2


class PageScreen(KioskScreen):
    """A page of text. Subclasses say which."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *COMMON,
        Binding("up", "scroll(-1)"),
        Binding("down", "scroll(1)"),
        Binding("pageup", "scroll(-10)"),
        Binding("pagedown,space", "scroll(10)"),
    ]
    KEYS: ClassVar[tuple[tuple[str, str], ...]] = (
        ("Esc", "back"),
        ("↓", "scroll(10)"),
        ("R", "responder"),
        ("L", "language"),
    )

    def __init__(self) -> None:
        super().__init__()
        self._scroll = 0

    def page(self, view: StationView) -> PageView:
        """Return the page."""
        raise NotImplementedError

    def paint(self, view: StationView, size: tuple[int, int]) -> Frame:
        """Return the page as it is scrolled."""
        return paint.page(self.page(view), self.look, self.hints(), size, scroll=self._scroll)

    def action_scroll(self, lines: int) -> None:
        """Scroll; past the end it starts again at the top."""
        view = self.kiosk.station
        if view is None:
            return
        shown = self.page(view)
        most = paint.length(shown, self.look, self.size.width) - self.size.height + _HEAD_ROWS
        if lines > 0 and self._scroll >= most:
            self._scroll = 0
        else:
            self._scroll = max(0, min(self._scroll + lines, most))
        self.redraw()


class SystemScreen(PageScreen):
    """Link, queue, disk, versions, proofs of life, outputs."""

    def page(self, view: StationView) -> PageView:
        """Return the page."""
        return pages.system(view, self.look, stale=self.kiosk.stale)


class ResponderScreen(PageScreen):
    """The first responder's sheet."""

    KEYS = (
        ("Esc", "back"),
        ("↓", "scroll(10)"),
        ("V", "alarms"),
        ("S", "silence"),
        ("L", "language"),
    )

    def page(self, view: StationView) -> PageView:
        """Return the page."""
        return sheets.responder(view, self.look, stale=self.kiosk.stale)


class HelpScreen(PageScreen):
    """What every key does."""

    def page(self, view: StationView) -> PageView:
        """Return the page."""
        del view
        return sheets.help_page(self.look)


class DrillScreen(PageScreen):
    """The monthly drill: start it, see what reads back."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,t", "start")]
    KEYS = (("T", "start"), ("Esc", "back"), ("S", "silence"), ("L", "language"))

    def page(self, view: StationView) -> PageView:
        """Return the page."""
        return sheets.drill(view, self.look, stale=self.kiosk.stale)

    def action_start(self) -> None:
        """Start it, with a PIN."""
        self.kiosk.flows.drill()


class InstructionScreen(PageScreen):
    """HQ's instruction, to be acknowledged by whoever reads it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("a,enter", "acknowledge")]
    KEYS = (("A", "acknowledge"), ("Esc", "back"), ("L", "language"))

    def page(self, view: StationView) -> PageView:
        """Return the page; when all are acknowledged it closes itself."""
        if not view.instructions:
            return PageView(self.look.text("instruction.title"), ())
        return sheets.instruction(view, self.look, view.instructions[0], stale=self.kiosk.stale)

    def redraw(self) -> None:
        """Close when nothing is left to read."""
        view = self.kiosk.station
        if view is not None and not view.instructions and self.is_current:
            self.kiosk.back()
            return
        super().redraw()

    def action_acknowledge(self) -> None:
        """Tell the agent that somebody read it."""
        view = self.kiosk.station
        if view is not None and view.instructions:
            self.kiosk.acknowledge_instruction(view.instructions[0].instruction_id)
