"""Dialogs: a choice, and a PIN. They know nothing of what they decide."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.binding import Binding, BindingType

from edge.kiosk.ink import Frame
from edge.kiosk.paint.dialog import DialogView, dialog
from edge.kiosk.screens.base import KioskScreen
from edge.kiosk.views.status import urgent_text

if TYPE_CHECKING:
    from edge.view import StationView

PIN_MIN, PIN_MAX = 4, 12

Send = Callable[[str], Awaitable[str]]


class ChoiceScreen(KioskScreen, inherit_bindings=False):
    """A question with numbered answers; its result is the index of one, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)"),
        Binding("down", "move(1)"),
        Binding("enter", "confirm"),
        Binding("escape", "back"),
    ]
    KEYS = (("Enter", "confirm"), ("↓", "move(1)"), ("Esc", "back"))

    def __init__(
        self, title: str, question: str, choices: tuple[str, ...], *, danger: bool = False
    ) -> None:
        super().__init__()
        self._title, self._question, self._choices = title, question, choices
        self._danger = danger
        self._chosen = 0

    def paint(self, view: StationView, size: tuple[int, int]) -> Frame:
        """Return the question."""
        shown = DialogView(
            title=self._title,
            lines=(self._question, ""),
            choices=self._choices,
            chosen=self._chosen,
            warning=urgent_text(view, self.look, self.kiosk.stale),
            danger=self._danger,
        )
        return dialog(shown, self.look, self.hints(), size)

    def on_key(self, event: events.Key | None = None) -> None:
        """Choose by number."""
        super().on_key()
        if event is not None and event.character and event.character.isdigit():
            index = int(event.character) - 1
            if 0 <= index < len(self._choices):
                event.stop()
                self.close_with(index)

    def action_move(self, steps: int) -> None:
        """Move the cursor."""
        self._chosen = (self._chosen + steps) % len(self._choices)
        self.redraw()

    def action_choose(self, index: int) -> None:
        """Answer by touch."""
        self.close_with(index)

    def action_confirm(self) -> None:
        """Answer with what is chosen."""
        self.close_with(self._chosen)

    def action_back(self) -> None:
        """Give no answer."""
        self.close_with(None)


class PinScreen(KioskScreen, inherit_bindings=False):
    """Asks for a PIN and sends it; stays while the agent refuses, and says why.

    `send` takes the PIN and returns "" or what is wrong, in words. The result is whether it was
    done. The PIN is kept only until it is sent.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "tap('enter')"),
        Binding("backspace", "tap('back')"),
        Binding("escape", "back"),
    ]
    KEYS = (("Enter", "confirm"), ("Esc", "back"))

    def __init__(self, title: str, what: str, send: Send) -> None:
        super().__init__()
        self._title, self._what, self._send = title, what, send
        self._pin = ""
        self._error = ""
        self._busy = False

    @property
    def is_busy(self) -> bool:
        """Whether what was asked for is being done: nothing may take the dialog away."""
        return self._busy

    def paint(self, view: StationView, size: tuple[int, int]) -> Frame:
        """Return the question; of the PIN only its length is shown."""
        lines = (self._what, self.look.text("pin.sending") if self._busy else "")
        shown = DialogView(
            title=self._title,
            lines=lines,
            digits=len(self._pin),
            error=self._error,
            warning=urgent_text(view, self.look, self.kiosk.stale),
            danger=True,
        )
        return dialog(shown, self.look, self.hints(), size)

    def on_key(self, event: events.Key | None = None) -> None:
        """Take digits."""
        super().on_key()
        if event is not None and event.character and event.character in "0123456789":
            event.stop()
            self.action_tap(event.character)

    def action_tap(self, key: str) -> None:
        """Take a digit, take one back, or send."""
        if self._busy:
            return
        if key == "enter":
            self.action_confirm()
            return
        self._error = ""
        self._pin = self._pin[:-1] if key == "back" else (self._pin + key)[:PIN_MAX]
        self.redraw()

    def action_confirm(self) -> None:
        """Send the PIN."""
        if self._busy:
            return
        if len(self._pin) < PIN_MIN:
            self._error = self.look.text("pin.short")
            self.redraw()
            return
        self._busy = True
        self.redraw()
        self.run_worker(self._sent(), exclusive=True, group="pin")

    async def _sent(self) -> None:
        pin, self._pin = self._pin, ""
        self._error = await self._send(pin)
        self._busy = False
        if self._error:
            self.redraw()
        else:
            self.close_with(True)

    def action_back(self) -> None:
        """Give up."""
        self.close_with(False)


DIALOGS = (ChoiceScreen, PinScreen)
