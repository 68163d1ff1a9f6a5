"""The full-screen alarm."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType

from edge.kiosk.ink import Frame, blank
from edge.kiosk.paint import alarm as paint
from edge.kiosk.screens.base import KioskScreen
from edge.kiosk.views.alarm import alarm_screen

if TYPE_CHECKING:
    from edge.view import StationView

FLASH_S = 0.5
"""Half of a flash: one flash a second is well below what may harm people."""
SEEN_S = 0.5
"""An alarm that came up just now was not seen yet: a key meant something else."""


class AlarmScreen(KioskScreen):
    """What calls, until somebody acknowledged it; one at a time, the worst first."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("a,enter,space", "acknowledge")]
    KEYS = (
        ("A", "acknowledge"),
        ("S", "silence"),
        ("R", "responder"),
        ("P", "stop"),
        ("L", "language"),
    )

    def __init__(self) -> None:
        super().__init__()
        self._lit = True
        self._shown_id = ""
        self._shown_s = 0.0

    @property
    def is_seen(self) -> bool:
        """Whether the alarm on the screen is there for long enough to be seen."""
        return bool(self._shown_id) and self.kiosk.monotonic_s() - self._shown_s >= SEEN_S

    def on_mount(self) -> None:
        """Begin to flash."""
        self.set_interval(FLASH_S, self._flash)

    def _flash(self) -> None:
        if self.is_current:
            self._lit = not self._lit
            self.redraw()

    def paint(self, view: StationView, size: tuple[int, int]) -> Frame:
        """Return the alarm."""
        shown = alarm_screen(view, self.look, stale=self.kiosk.stale)
        if shown is None:
            return blank(*size, self.look.palette.text)
        if shown.alarm_id != self._shown_id:
            self._shown_id, self._shown_s = shown.alarm_id, self.kiosk.monotonic_s()
        return paint.alarm(shown, self.look, self.hints(), size, lit=self._lit)

    def redraw(self) -> None:
        """Close when nothing calls any more."""
        if self.is_current and not self.kiosk.calls():
            self.kiosk.back()
            return
        super().redraw()

    def on_screen_resume(self) -> None:
        """Be seen anew after what lay over it."""
        self._shown_id = ""
        super().on_screen_resume()

    def action_acknowledge(self) -> None:
        """Acknowledge the alarm that is seen, not one that took its place this moment."""
        waiting = self.kiosk.calls()
        if waiting and waiting[0].alarm_id == self._shown_id and self.is_seen:
            self.kiosk.acknowledge(waiting[0])

    def action_back(self) -> None:
        """Stay: an alarm is left by acknowledging it."""
