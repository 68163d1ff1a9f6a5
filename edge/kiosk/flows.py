"""What people decide in several steps: which one, are you sure, who are you.

Each flow runs as one worker. A new flow ends the one before; an alarm that calls ends them all.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from edge.kiosk.screens.dialogs import ChoiceScreen, PinScreen
from edge.kiosk.views.status import titled
from edge.kiosk.views.values import by_urgency, sounding
from edge.view import AlarmView, ConnectorView, StationView
from shared.contracts.words import ConnectorStatus, Severity

if TYPE_CHECKING:
    from edge.kiosk.app import KioskApp

_GROUP = "flow"
_SHELF_HOURS = (1, 4, 8)
_SHELF_REASONS = ("maintenance", "spare_part", "known", "false_alarm")
_RESET_REASONS = ("checked", "repaired", "false_alarm", "test")
_OVER = frozenset({"unknown_alarm"})  # it ended while the PIN was typed
_STOPPABLE = frozenset({ConnectorStatus.CHARGING, ConnectorStatus.ALARM})


class Flows:
    """Starts the flows of one app."""

    def __init__(self, app: KioskApp) -> None:
        self._app = app

    def cancel(self) -> None:
        """End what runs; its dialogs are the caller's to remove."""
        self._app.workers.cancel_group(self._app, _GROUP)

    def stop(self, connector: ConnectorView | None = None) -> None:
        """Stop a charge; without a connector it is asked for."""
        self._run(self._stop(connector))

    def reset(self, connector: ConnectorView | None = None) -> None:
        """Lift a block; without a connector the place is asked for."""
        self._run(self._reset(connector))

    def silence(self, alarm: AlarmView | None = None) -> None:
        """Silence an alarm; by default all that sound now, with one PIN."""
        self._run(self._silence(alarm))

    def shelve(self, alarm: AlarmView | None) -> None:
        """Put an alarm aside."""
        self._run(self._shelve(alarm))

    def drill(self) -> None:
        """Start a drill."""
        self._run(self._drill())

    def _run(self, flow: Coroutine[Any, Any, None]) -> None:
        self._app.run_worker(flow, exclusive=True, group=_GROUP)

    async def _stop(self, connector: ConnectorView | None) -> None:
        text = self._app.look.text
        if connector is None:
            connector = await self._choose_stop()
        if connector is None:
            return
        what = text("ask.stop_what", label=connector.label)
        if await self._choose("ask.stop_title", what, (text("ask.no"), text("ask.yes"))) != 1:
            return
        request = {
            "do": "stop",
            "number": connector.charge_point_no,
            "connector": connector.connector_no,
        }
        await self._with_pin("ask.stop_title", what, request)

    async def _choose_stop(self) -> ConnectorView | None:
        found = [c for c in _connectors(self._app.station) if c.status in _STOPPABLE]
        if not found:
            self._app.say(self._app.look.text("ask.no_connector"))
            return None
        names = tuple(self._named(connector) for connector in found)
        index = await self._choose("ask.stop_title", "", names)
        return None if index is None else found[index]

    def _named(self, connector: ConnectorView) -> str:
        look = self._app.look
        return f"{connector.label}  {look.text(f'status.{connector.status.value}')}"

    async def _reset(self, connector: ConnectorView | None) -> None:
        text = self._app.look.text
        if connector is None:
            blocked = [c for c in _connectors(self._app.station) if c.blocked_by]
            names = (text("ask.reset_station"), *(self._named(c) for c in blocked))
            index = await self._choose("ask.reset_title", "", names)
            if index is None:
                return
            connector = blocked[index - 1] if index else None
        label = connector.label if connector else text("ask.reset_station")
        reasons = tuple(text(f"reason.{name}") for name in _RESET_REASONS)
        what = text("ask.reset_what", label=label)
        index = await self._choose("ask.reset_title", what, reasons)
        if index is None:
            return
        request = {
            "do": "reset",
            "number": connector.charge_point_no if connector else "",
            "connector": connector.connector_no if connector else 0,
            "reason": reasons[index],
        }
        await self._with_pin("ask.reset_title", f"{label}: {reasons[index]}", request)

    async def _silence(self, alarm: AlarmView | None) -> None:
        look, view = self._app.look, self._app.station
        wanted = [alarm] if alarm is not None else []
        if alarm is None and view is not None:
            wanted = sounding(view) or by_urgency(view.alarms)[:1]
        if not wanted:
            return
        what = look.text("ask.silence_what", title=titled(wanted[0], look))
        if len(wanted) > 1:
            what += f"  +{len(wanted) - 1}"
        requests = [{"do": "silence", "alarm_id": each.alarm_id} for each in wanted]
        await self._with_pin("ask.silence_title", what, *requests)

    async def _shelve(self, alarm: AlarmView | None) -> None:
        look = self._app.look
        if alarm is None:
            return
        if alarm.severity is Severity.CRITICAL:
            self._app.say(look.text("ask.never_critical"))
            return
        what = look.text("ask.shelve_what", title=look.title(alarm))
        hours = tuple(look.text("unit.hours", h=hours, m=0) for hours in _SHELF_HOURS)
        for_index = await self._choose("ask.shelve_title", what, hours)
        if for_index is None:
            return
        reasons = tuple(look.text(f"reason.{name}") for name in _SHELF_REASONS)
        why = await self._choose("ask.shelve_title", look.text("ask.shelve_why"), reasons)
        if why is None:
            return
        request = {
            "do": "shelve",
            "alarm_id": alarm.alarm_id,
            "minutes": _SHELF_HOURS[for_index] * 60,
            "reason": reasons[why],
        }
        await self._with_pin("ask.shelve_title", f"{what} {hours[for_index]}", request)

    async def _drill(self) -> None:
        what = self._app.look.text("ask.drill_what")
        await self._with_pin("ask.drill_title", what, {"do": "drill"}, done="drill.started")

    async def _choose(self, title: str, question: str, choices: tuple[str, ...]) -> int | None:
        screen = ChoiceScreen(self._app.look.text(title), question, choices)
        answer: int | None = await self._app.push_screen_wait(screen)
        return answer

    async def _with_pin(
        self, title: str, what: str, *requests: dict[str, Any], done: str = "ask.done"
    ) -> None:
        """Ask for a PIN and send the requests with it; the first that is refused ends it."""
        app = self._app

        async def send(pin: str) -> str:
            for request in requests:
                answer = await app.link.ask({**request, "pin": pin})
                if not answer.get("ok") and answer.get("code") not in _OVER:
                    return app.in_words(answer)
            return ""

        if await app.push_screen_wait(PinScreen(app.look.text(title), what, send)):
            app.say(app.look.text(done), done=True)


def _connectors(view: StationView | None) -> list[ConnectorView]:
    entries = () if view is None else view.charge_points
    return [connector for entry in entries for connector in entry.connectors]
