"""The kiosk: what it last heard of the station, and which screen shows it.

The wall lies at the bottom of the stack of screens. A critical alarm that nobody acknowledged
takes the whole screen, whatever else is open. Time on the screen is the agent's; how long it is
silent is measured by a clock that does not jump.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from textual.app import App
from textual.binding import BindingType
from textual.screen import Screen

from edge.kiosk.clean import printable
from edge.kiosk.errors import in_words
from edge.kiosk.flows import Flows
from edge.kiosk.link import Link
from edge.kiosk.look import Language, Look
from edge.kiosk.screens.alarm import AlarmScreen
from edge.kiosk.screens.alarms import AlarmListScreen
from edge.kiosk.screens.base import KioskScreen
from edge.kiosk.screens.dialogs import DIALOGS, PinScreen
from edge.kiosk.screens.pages import (
    DrillScreen,
    HelpScreen,
    InstructionScreen,
    ResponderScreen,
    SystemScreen,
)
from edge.kiosk.screens.trend import TrendScreen
from edge.kiosk.screens.wall import WallScreen
from edge.kiosk.views.values import calling, sounding
from edge.kiosk.views.wall import page_count, pinned_page
from edge.view import AlarmView, StationView
from shared.clock import Clock

STALE_S = 2.7
"""Two beats and a half; with the step of the watch that is less than 3 s."""
_STEP_S = 0.2
APPLY_S = 0.3
"""Least time between two paintings of ordinary changes."""
BELL_S = 2.0
PAGE_S = 12.0
LANGUAGE_S = 10.0
IDLE_S = 120.0
"""After this without a key or a touch the wall comes back."""
HOLD_S = 60.0
"""How long a page or a language that somebody chose stays."""
NOTICE_S = 5.0
TYPING_S = 8.0
"""A dialog that was not touched for this long is left by whoever opened it."""
_PAGES_MAX = 6

_SCREENS: dict[str, type[KioskScreen]] = {
    "alarms": AlarmListScreen,
    "trends": TrendScreen,
    "system": SystemScreen,
    "responder": ResponderScreen,
    "drill": DrillScreen,
    "instruction": InstructionScreen,
    "help": HelpScreen,
}


class KioskApp(App[None]):
    """The screen of one station.

    `name` is what an acknowledgement without a PIN is signed with. `alternate` changes the
    language of the wall every ten seconds; `may_quit` lets Ctrl-Q end the program; `guide` is the
    address of an installation guide, shown as a QR code while there are no charge points.
    """

    CSS_PATH = "kiosk.tcss"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = []
    TITLE = "Voltwarden"

    def __init__(
        self,
        socket: Path,
        clock: Clock,
        *,
        look: Look,
        name: str = "screen",
        alternate: bool = True,
        may_quit: bool = False,
        guide: str = "",
    ) -> None:
        super().__init__()
        self.look = look
        self.guide = guide
        self.station: StationView | None = None
        self.stale = False
        self.notice = self.notice_sign = ""
        self.link = Link(socket, self._on_view, self._on_lost)
        self.flows = Flows(self)
        self._socket, self._clock, self._signature = socket, clock, name
        self._alternate, self._may_quit = alternate, may_quit
        self._lost: Exception | None = None
        self._called: set[str] = set()
        self._seen_instructions: set[str] = set()
        now_s = clock.monotonic_s()
        self._beat_s = self._applied_s = self._touched_s = self._noticed_s = now_s
        self._turned_s = self._spoke_s = now_s
        self._held_page_s = self._held_language_s = now_s - HOLD_S
        self._pending: StationView | None = None

    def get_default_screen(self) -> Screen[None]:
        """Return the wall."""
        return WallScreen()

    def on_mount(self) -> None:
        """Begin to watch."""
        self.run_worker(self.link.run(), group="link")
        self.set_interval(_STEP_S, self._step)
        self.set_interval(BELL_S, self._ring)

    # What the agent says

    def _on_view(self, view: StationView) -> None:
        view = printable(view, plain=not self.look.signs.blocks)
        if self.station is None or view.beat != self.station.beat:
            self._beat_s = self._clock.monotonic_s()
        known, waits = self._pending or self.station, self._pending is not None
        self._pending = view
        urgent = known is None or self.stale or _urgent(known) != _urgent(view)
        since_s = self._clock.monotonic_s() - self._applied_s
        if urgent or since_s >= APPLY_S:
            self._apply()
        elif not waits:
            self.set_timer(APPLY_S - since_s, self._apply)

    def _on_lost(self, why: Exception) -> None:
        self._lost = why

    def _apply(self) -> None:
        view, self._pending = self._pending, None
        if view is None or self._is_closing():
            return
        self._applied_s = self._clock.monotonic_s()
        # What was said before is not news because it is said again: the beat must count on.
        self.station, self.stale = view, self._applied_s - self._beat_s > STALE_S
        self._follow_alarms(view)
        self._follow_instructions(view)
        self.repaint()

    def _follow_alarms(self, view: StationView) -> None:
        """Bring a new alarm on top; the page that somebody reads is there again below it.

        A dialog that somebody types in names the alarm and stays meanwhile: in a fire that grows
        nobody would ever come to the end of a PIN.
        """
        called = {alarm.alarm_id for alarm in calling(view)}
        shown = any(isinstance(screen, AlarmScreen) for screen in self.screen_stack)
        if called - self._called or (called and not shown):
            if self._is_typed():
                return
            if not isinstance(self.screen, AlarmScreen):
                self._close_dialogs()
                self.push_screen(AlarmScreen())
        self._called = called

    def _is_typed(self) -> bool:
        top = self.screen
        if isinstance(top, PinScreen) and top.is_busy:
            return True
        return isinstance(top, DIALOGS) and self._clock.monotonic_s() - self._touched_s < TYPING_S

    def _close_dialogs(self) -> None:
        if len(self.screen_stack) > _PAGES_MAX:
            self._to_wall()
        self.flows.cancel()
        while isinstance(self.screen, DIALOGS):
            self.pop_screen()

    def _follow_instructions(self, view: StationView) -> None:
        """Show a new instruction once; an alarm goes before, an open page is not torn away."""
        if self.calls() or not isinstance(self.screen, WallScreen):
            return
        waiting = {entry.instruction_id for entry in view.instructions}
        if waiting - self._seen_instructions:
            self._seen_instructions = waiting
            self.open("instruction")

    def _is_closing(self) -> bool:
        """Return whether the program ends: its screens go first, its timers and workers later."""
        return not self.screen_stack

    def _to_wall(self) -> None:
        self.flows.cancel()
        while len(self.screen_stack) > 1:
            self.pop_screen()

    # What time does

    def _step(self) -> None:
        if self._is_closing():
            return
        now_s = self._clock.monotonic_s()
        if self.station is None:
            if now_s - self._applied_s >= APPLY_S:
                self._applied_s = now_s
                self.repaint()
        elif not self.stale and now_s - self._beat_s > STALE_S:
            self.stale = True
            self.repaint()
        if self.notice and now_s - self._noticed_s > NOTICE_S:
            self.notice = ""
            self.repaint()
        if self.station is not None:
            self._follow_alarms(self.station)
        self._step_wall(now_s)

    def _step_wall(self, now_s: float) -> None:
        top = self.screen
        if not isinstance(top, WallScreen):
            if now_s - self._touched_s > IDLE_S and not isinstance(top, AlarmScreen):
                self._rest()
            return
        if now_s - self._touched_s > IDLE_S:
            top.rest()
        view = self.station
        if view is None:
            return
        free = now_s - self._held_page_s > HOLD_S and pinned_page(view) is None
        if page_count(view) > 1 and free and now_s - self._turned_s >= PAGE_S:
            self._turned_s = now_s
            top.rotate()
        quiet = not view.alarms and now_s - self._held_language_s > HOLD_S
        if self._alternate and quiet and now_s - self._spoke_s >= LANGUAGE_S:
            self._spoke_s = now_s
            self._speak(self.look.language.other)

    def _rest(self) -> None:
        """Give the wall back, or the alarm that still calls."""
        self._to_wall()
        if self.calls():
            self.push_screen(AlarmScreen())

    def _ring(self) -> None:
        """Ring the terminal's bell while an alarm sounds: the last resort beside the sirens."""
        if self.station is not None and sounding(self.station):
            self.bell()

    # What screens use

    def repaint(self) -> None:
        """Paint the screen on top."""
        if self._is_closing():
            return
        top = self.screen
        if isinstance(top, KioskScreen):
            top.redraw()

    def calls(self) -> list[AlarmView]:
        """Return the alarms that want the whole screen."""
        return [] if self.station is None else calling(self.station)

    def waiting(self) -> tuple[str, ...]:
        """Return what to say before the agent was heard for the first time."""
        text = self.look.text
        lines = [text("wall.waiting_1")]
        if isinstance(self._lost, PermissionError):
            lines.append(text("wall.waiting_denied", socket=self._socket))
        elif isinstance(self._lost, ValueError):
            lines.append(text("wall.waiting_refused", error=printable(str(self._lost))))
        elif self._lost is not None:
            lines.append(text("wall.waiting_2", socket=self._socket))
            lines.append(text("wall.waiting_3"))
        return tuple(lines)

    def in_words(self, answer: dict[str, Any]) -> str:
        """Return an agent's refusal in the language of the screen."""
        return in_words(answer, self.look)

    def monotonic_s(self) -> float:
        """Return the time that runs evenly."""
        return self._clock.monotonic_s()

    def heard_somebody(self) -> None:
        """Somebody is at the screen."""
        self._touched_s = self._clock.monotonic_s()

    def hold_page(self) -> None:
        """Keep the page that somebody turned to for a while."""
        self._held_page_s = self._clock.monotonic_s()

    def change_language(self) -> None:
        """Speak the other language, and keep it for a while."""
        self._held_language_s = self._clock.monotonic_s()
        self._speak(self.look.language.other)

    def _speak(self, language: Language) -> None:
        self.look = Look(language, self.look.palette, self.look.signs)
        self.repaint()

    def say(self, text: str, *, done: bool = False) -> None:
        """Show a passing notice beside the keys; `done` says that it is a success."""
        self.notice, self._noticed_s = text, self._clock.monotonic_s()
        self.notice_sign = self.look.signs.tick if done else self.look.signs.warning
        self.repaint()

    def open(self, name: str) -> None:
        """Open a screen by its name; the one that is open already stays."""
        kind = _SCREENS[name]
        if self.station is not None and not isinstance(self.screen, kind):
            self.push_screen(kind())

    def back(self) -> None:
        """Close the screen on top; the wall stays."""
        if len(self.screen_stack) > 1:
            self.pop_screen()

    def acknowledge(self, alarm: AlarmView | None = None) -> None:
        """Tell the agent that somebody saw an alarm; by default the one that calls."""
        if alarm is None:
            waiting = self.calls()
            if not waiting:
                return
            alarm = waiting[0]
        request = {"do": "acknowledge", "alarm_id": alarm.alarm_id, "by": self._signature}
        self.run_worker(self._send(request), group="send")

    def acknowledge_instruction(self, instruction_id: str) -> None:
        """Tell the agent that somebody read an instruction."""
        request = {"do": "instruction", "instruction_id": instruction_id, "by": self._signature}
        self.run_worker(self._send(request), group="send")

    async def _send(self, request: dict[str, str]) -> None:
        answer = await self.link.ask(request)
        if not answer.get("ok"):
            self.say(self.in_words(answer))

    async def action_quit(self) -> None:
        """End the program, where that is allowed: not at a station."""
        if self._may_quit:
            self.exit()

    def action_help_quit(self) -> None:
        """Say nothing about leaving."""


def _urgent(view: StationView) -> tuple[object, ...]:
    """Return what must be seen at once when it changes."""
    alarms = [(alarm.alarm_id, alarm.acknowledged_by, alarm.silenced) for alarm in view.alarms]
    return alarms, view.drill_running, len(view.instructions)
