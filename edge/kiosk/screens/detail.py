"""A charge point's screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType

from edge.kiosk.ink import Frame
from edge.kiosk.paint import page as paint
from edge.kiosk.screens.base import KioskScreen
from edge.kiosk.views import pages

if TYPE_CHECKING:
    from edge.view import ConnectorView, StationView


class DetailScreen(KioskScreen):
    """One charge point; the cursor chooses the connector that P stops and U resets."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,left", "move(-1)"),
        Binding("down,right", "move(1)"),
    ]
    KEYS = (
        ("Esc", "back"),
        ("P", "stop"),
        ("U", "reset"),
        ("↓", "move(1)"),
        ("R", "responder"),
        ("L", "language"),
    )

    def __init__(self, charge_point_no: str) -> None:
        super().__init__()
        self._number = charge_point_no
        self._chosen = 0

    def paint(self, view: StationView, size: tuple[int, int]) -> Frame:
        """Return the page."""
        shown = pages.detail(
            view, self.look, self._number, chosen=self._chosen, stale=self.kiosk.stale
        )
        return paint.page(shown, self.look, self.hints(), size)

    def action_move(self, steps: int) -> None:
        """Choose another connector."""
        self.action_choose(self._chosen + steps)

    def action_choose(self, index: int) -> None:
        """Choose a connector by its place."""
        connectors = self._connectors()
        if connectors:
            self._chosen = index % len(connectors)
            self.redraw()

    def action_stop(self) -> None:
        """Stop the charge at the chosen connector."""
        self.kiosk.flows.stop(self._connector())

    def action_reset(self) -> None:
        """Lift the block of the chosen connector."""
        self.kiosk.flows.reset(self._connector())

    def _connectors(self) -> tuple[ConnectorView, ...]:
        view = self.kiosk.station
        entry = None if view is None else pages.find(view, self._number)
        return () if entry is None else entry.connectors

    def _connector(self) -> ConnectorView | None:
        connectors = self._connectors()
        return connectors[min(self._chosen, len(connectors) - 1)] if connectors else None
