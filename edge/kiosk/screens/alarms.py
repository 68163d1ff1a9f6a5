"""The list of alarms."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType

from edge.kiosk.ink import Frame
from edge.kiosk.paint import page as paint
from edge.kiosk.screens.base import KioskScreen
from edge.kiosk.views import pages
from edge.kiosk.views.values import by_urgency

if TYPE_CHECKING:
    from edge.view import AlarmView, StationView


class AlarmListScreen(KioskScreen):
    """All open alarms; the cursor chooses the one that A, S, H and U act on."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)"),
        Binding("down", "move(1)"),
        Binding("a,enter,space", "acknowledge"),
        Binding("h", "shelve"),
    ]
    KEYS = (
        ("Esc", "back"),
        ("A", "acknowledge"),
        ("S", "silence"),
        ("H", "shelve"),
        ("U", "reset"),
        ("R", "responder"),
        ("L", "language"),
    )

    def __init__(self) -> None:
        super().__init__()
        self._chosen_id = ""

    def paint(self, view: StationView, size: tuple[int, int]) -> Frame:
        """Return the list."""
        shown = pages.alarm_list(view, self.look, chosen=self._index(view), stale=self.kiosk.stale)
        return paint.page(shown, self.look, self.hints(), size)

    def _index(self, view: StationView) -> int:
        """Return where the chosen alarm is now: the cursor stays on it when others come."""
        for index, alarm in enumerate(by_urgency(view.alarms)):
            if alarm.alarm_id == self._chosen_id:
                return index
        return 0

    def _alarm(self) -> AlarmView | None:
        view = self.kiosk.station
        if view is None or not view.alarms:
            return None
        return by_urgency(view.alarms)[self._index(view)]

    def action_move(self, steps: int) -> None:
        """Choose another alarm."""
        view = self.kiosk.station
        if view is not None and view.alarms:
            self.action_choose((self._index(view) + steps) % len(view.alarms))

    def action_choose(self, index: int) -> None:
        """Choose an alarm by its place."""
        view = self.kiosk.station
        if view is not None and index < len(view.alarms):
            self._chosen_id = by_urgency(view.alarms)[index].alarm_id
            self.redraw()

    def action_acknowledge(self) -> None:
        """Acknowledge the chosen alarm."""
        alarm = self._alarm()
        if alarm is not None:
            self.kiosk.acknowledge(alarm)

    def action_silence(self) -> None:
        """Silence the chosen alarm."""
        self.kiosk.flows.silence(self._alarm())

    def action_shelve(self) -> None:
        """Put the chosen alarm aside."""
        self.kiosk.flows.shelve(self._alarm())
