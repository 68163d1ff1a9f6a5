"""What all screens share: a canvas, the keys that work everywhere, and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from edge.kiosk.canvas import Canvas
from edge.kiosk.ink import Frame
from edge.kiosk.look import Look
from edge.kiosk.paint.keys import KeyHint

if TYPE_CHECKING:
    from edge.kiosk.app import KioskApp
    from edge.view import StationView

COMMON: tuple[BindingType, ...] = (
    Binding("a", "acknowledge"),
    Binding("s", "silence"),
    Binding("v", "alarms"),
    Binding("r", "responder"),
    Binding("p", "stop"),
    Binding("u", "reset"),
    Binding("t", "drill"),
    Binding("e", "trends"),
    Binding("y", "system"),
    Binding("i", "instruction"),
    Binding("l", "language"),
    Binding("f1,question_mark", "help"),
    Binding("escape,backspace", "back"),
)


class KioskScreen(Screen[Any]):
    """A screen of the kiosk. Subclasses say what they paint and which keys they name."""

    BINDINGS: ClassVar[list[BindingType]] = list(COMMON)
    KEYS: ClassVar[tuple[tuple[str, str], ...]] = (("Esc", "back"), ("L", "language"))
    """Keys that are named at the bottom: (key, action)."""

    def __init__(self) -> None:
        super().__init__()
        self.canvas = Canvas()

    @property
    def kiosk(self) -> KioskApp:
        """The app that this screen belongs to."""
        return cast("KioskApp", self.app)

    @property
    def look(self) -> Look:
        """Language, signs and colours now."""
        return self.kiosk.look

    def compose(self) -> ComposeResult:
        """Yield the canvas."""
        yield self.canvas

    def on_resize(self) -> None:
        """Paint for the new size."""
        self.redraw()

    def close_with(self, result: object) -> None:
        """End with a result, if it is still on top: Textual would take away whatever is."""
        if self.is_current:
            self.dismiss(result)

    def on_screen_resume(self) -> None:
        """Paint what happened meanwhile."""
        self.redraw()

    def redraw(self) -> None:
        """Paint what is known now."""
        size = self.size
        view = self.kiosk.station
        if not self.is_mounted or not size.width or not size.height or view is None:
            return
        self.canvas.show(self.paint(view, (size.width, size.height)))

    def paint(self, view: StationView, size: tuple[int, int]) -> Frame:
        """Return what the screen shows, in exactly this size (width, height)."""
        raise NotImplementedError

    def hints(self) -> Sequence[KeyHint]:
        """Return the keys to name; a passing notice comes first."""
        look = self.look
        named = [
            KeyHint(look.pick(key, key), look.text(f"key.{action.partition('(')[0]}"), action)
            for key, action in self.KEYS
            if look.signs.blocks or action != "language"  # nothing to choose from
        ]
        notice = self.kiosk.notice
        return [KeyHint(self.kiosk.notice_sign, notice, ""), *named] if notice else named

    async def on_canvas_touched(self, event: Canvas.Touched) -> None:
        """Do what was touched."""
        self.kiosk.heard_somebody()
        await self.kiosk.run_action(event.action, default_namespace=self)

    def on_key(self) -> None:
        """Note that somebody is there."""
        self.kiosk.heard_somebody()

    def action_language(self) -> None:
        """Change the language and keep it for a while."""
        self.kiosk.change_language()

    def action_back(self) -> None:
        """Return to the screen before."""
        if self.is_current:
            self.kiosk.back()

    def action_acknowledge(self) -> None:
        """Acknowledge the alarm that calls."""
        self.kiosk.acknowledge()

    def action_silence(self) -> None:
        """Silence an alarm, with a PIN."""
        self.kiosk.flows.silence()

    def action_stop(self) -> None:
        """Stop a charge, with a PIN."""
        self.kiosk.flows.stop()

    def action_reset(self) -> None:
        """Lift a block, with a PIN."""
        self.kiosk.flows.reset()

    def action_drill(self) -> None:
        """Show the drill."""
        self.kiosk.open("drill")

    def action_alarms(self) -> None:
        """Show the list of alarms."""
        self.kiosk.open("alarms")

    def action_trends(self) -> None:
        """Show the trends."""
        self.kiosk.open("trends")

    def action_system(self) -> None:
        """Show the system page."""
        self.kiosk.open("system")

    def action_responder(self) -> None:
        """Show the first responder's sheet."""
        self.kiosk.open("responder")

    def action_instruction(self) -> None:
        """Show HQ's instruction."""
        self.kiosk.open("instruction")

    def action_help(self) -> None:
        """Show the keys."""
        self.kiosk.open("help")
