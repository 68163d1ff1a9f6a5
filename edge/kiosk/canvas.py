"""The one widget of every screen: shows a frame, repaints the lines that changed, feels touches."""

from __future__ import annotations

from functools import lru_cache
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from edge.kiosk.ink import EMPTY, Frame, Ink, Line


class Canvas(Widget, can_focus=False):
    """Shows frames. Sends `Touched` with the action of the topmost area that was clicked."""

    ALLOW_SELECT: ClassVar[bool] = False

    class Touched(Message):
        """An area was clicked or touched."""

        def __init__(self, action: str) -> None:
            super().__init__()
            self.action = action

    def __init__(self) -> None:
        super().__init__()
        self._frame: Frame = EMPTY
        self._strips: list[Strip] = []

    @property
    def frame(self) -> Frame:
        """What is shown."""
        return self._frame

    def show(self, frame: Frame) -> None:
        """Show a frame; lines that are as before cost nothing."""
        before, self._frame = self._frame.lines, frame
        if len(before) != len(frame.lines):
            self._strips = [strip_of(line) for line in frame.lines]
            self.refresh()
            return
        changed = [y for y, line in enumerate(frame.lines) if line != before[y]]
        for y in changed:
            self._strips[y] = strip_of(frame.lines[y])
        if changed:
            width = max(self.size.width, 1)
            self.refresh(*(Region(0, y, width, 1) for y in changed))

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return the strips of a region; without borders there is nothing to add to them."""
        blank = Strip.blank(crop.width)
        lines = []
        for y in range(crop.y, crop.bottom):
            whole = self._strips[y] if y < len(self._strips) else blank
            strip = whole.crop(crop.x, crop.right) if whole.cell_length != crop.width else whole
            lines.append(strip.adjust_cell_length(crop.width))
        return lines

    def on_click(self, event: events.Click) -> None:
        """Find what was touched."""
        for hit in reversed(self._frame.hits):
            if hit.action and hit.holds(event.x, event.y):
                event.stop()
                self.post_message(self.Touched(hit.action))
                return


def strip_of(line: Line) -> Strip:
    """Return a line as Textual draws it."""
    return Strip([Segment(span.text, style_of(span.ink)) for span in line])


@lru_cache(maxsize=256)
def style_of(ink: Ink) -> Style:
    """Return an ink as Rich's style."""
    return Style(color=ink.fg, bgcolor=ink.bg, bold=ink.bold)
