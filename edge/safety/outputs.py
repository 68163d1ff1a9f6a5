"""Sirens, strobes, contactors and the watchdog: what each should do, and whether it does it.

An output is on while any cause wants it. What is ordered is written at once and again every
second until the write is answered and the read-back agrees; a second of disagreement is a fault,
and while it lasts the backup does what it should: that is worked out anew whenever it is asked,
so it holds through chains of backups and through edited documents. Nothing here waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

from msgspec import Struct, field

from edge.devices.chargers.reports import Moment
from edge.devices.sensors.reports import OutputRead
from edge.view import OutputView
from shared.contracts.protection import Output, OutputKind

CauseKey = tuple[str, str]
"""Code and object of a cause."""
Connector = tuple[str, int]
Write = Callable[[str, bool, Callable[[bool, Moment], None]], None]
"""Writes an output by name and calls back whether it was answered, and when; never waits."""

SOUNDS = frozenset({OutputKind.SIREN, OutputKind.SPEAKER})
"""What silencing switches off."""
_AGAIN_S = 1.0
_AGREE_S = 1.0
_START_GRACE_S = 5.0
"""Lines connect first; who is told something meanwhile has no such grace."""


class OutputFault(Struct, frozen=True):
    """An output began or ceased to fail; `reason` is a word, `on` what it was told."""

    output: Output
    reason: str
    on: bool
    active: bool
    at: Moment


class _State(Struct):
    spec: Output
    on: bool = False
    """What is ordered."""
    wanted_by: set[CauseKey] = field(default_factory=set)
    order_no: int = 0
    ordered_s: float = 0.0
    answered: Literal["", "yes", "no"] = ""
    """How the last write ended; "" while it is awaited."""
    reads_on: bool | None = None
    disagrees_since_s: float | None = None
    agrees_since_s: float | None = None
    fault: str = ""
    fault_on: bool = False
    toggled: bool = False


class Outputs:
    """The desired state of every output of a protection document.

    Args:
        write: Writes a coil.
        on_answered: Told of each write that was answered: output, on, when.
        on_fault: Told when an output begins or ceases to fail.
    """

    def __init__(
        self,
        write: Write,
        *,
        on_answered: Callable[[Output, bool, Moment], None],
        on_fault: Callable[[OutputFault], None],
    ) -> None:
        self._write = write
        self._on_answered = on_answered
        self._on_fault = on_fault
        self._states: dict[str, _State] = {}
        self._silenced: set[CauseKey] = set()
        self.hold_contactors = False
        """Close no contactor: nobody knows which of them was opened, and for what."""

    def retire(self, outputs: Iterable[Output]) -> None:
        """Switch off what sounds and is not among these: nobody will write its coil again.

        Contactors are left as they are: closing one is for people.
        """
        kept = {(each.name, each.device, each.point) for each in outputs}
        for state in self._states.values():
            spec = state.spec
            goes = (spec.name, spec.device, spec.point) not in kept
            if goes and state.on and spec.kind is not OutputKind.CONTACTOR:
                self._write(spec.name, False, lambda _ok, _at: None)

    def configure(self, outputs: Iterable[Output], now: Moment) -> None:
        """Take the outputs of a document; those that stay as they were keep their state."""
        before, self._states = self._states, {}
        for spec in outputs:
            if spec.kind is OutputKind.SPEAKER:
                continue
            known = before.get(spec.name)
            if known is not None and _coil(known.spec) == _coil(spec):
                known.spec = spec
                self._states[spec.name] = before.pop(spec.name)
                continue
            state = _State(spec, disagrees_since_s=now.mono_s + _START_GRACE_S)
            self._states[spec.name] = state
            self._order(state, now)
        for gone in before.values():
            if gone.fault:
                self._on_fault(OutputFault(gone.spec, gone.fault, gone.fault_on, False, now))
        self._settle_all(now)

    # Wishes

    def want(
        self, cause: CauseKey, names: Iterable[str], now: Moment, *, anew: bool = False
    ) -> None:
        """Switch outputs on for a cause, in the order given; unknown names are passed over.

        `anew` writes those too that are on already: a trip is measured by an answer of its own.
        """
        for name in names:
            if state := self._states.get(name):
                state.wanted_by.add(cause)
                before = state.order_no
                self._settle(state, now)
                if anew and state.on and state.order_no == before:
                    self._order(state, now)
        self._settle_all(now)

    def want_only(self, cause: CauseKey, names: Iterable[str], now: Moment) -> None:
        """Have a cause want these outputs and no others."""
        chosen = set(names)
        for name, state in self._states.items():
            if name in chosen:
                state.wanted_by.add(cause)
            else:
                state.wanted_by.discard(cause)
        self._settle_all(now)

    def drop(self, cause: CauseKey, now: Moment) -> None:
        """A cause no longer wants anything."""
        self._silenced.discard(cause)
        for state in self._states.values():
            state.wanted_by.discard(cause)
        self._settle_all(now)

    def silence(self, cause: CauseKey, now: Moment) -> None:
        """Switch the sound of a cause off; strobes and contactors stay."""
        self._silenced.add(cause)
        self._settle_all(now)

    def sound_again(self, cause: CauseKey, now: Moment) -> None:
        """Take a silence back: the cause has become worse."""
        self._silenced.discard(cause)
        self._settle_all(now)

    def is_silenced(self, cause: CauseKey) -> bool:
        """Whether somebody switched the sound of this cause off."""
        return cause in self._silenced

    def contactors_of(self, connector: Connector) -> tuple[str, ...]:
        """Return the names of the contactors that feed a connector."""
        return tuple(
            name
            for name, state in self._states.items()
            if state.spec.kind is OutputKind.CONTACTOR and connector in state.spec.connectors
        )

    # What devices say

    def on_read(self, report: OutputRead) -> None:
        """Take in a read-back."""
        if state := self._states.get(report.output):
            state.reads_on = report.on
            self._judge(state, report.at)

    def on_answering(self, device: str, now: Moment) -> None:
        """A device is back and may have forgotten everything: tell it again."""
        for state in self._states.values():
            if state.spec.device == device:
                self._order(state, now)

    # Time

    def tick(self, now: Moment) -> None:
        """Repeat what was not done, find what does not agree; several times a second."""
        for state in self._states.values():
            due = now.mono_s - state.ordered_s >= _AGAIN_S
            if state.spec.kind is OutputKind.WATCHDOG:
                if due:
                    state.toggled = not state.toggled
                    self._order(state, now)
            elif due and not self._agrees(state):
                self._order(state, now)
            self._judge(state, now)

    # Questions

    def is_open(self, name: str) -> bool:
        """Whether a contactor was told to open and, as far as can be seen, has opened."""
        state = self._states.get(name)
        return state is not None and state.on and self._agrees(state)

    def is_isolated(self, connector: Connector) -> bool:
        """Whether a contactor above this connector is open."""
        return any(self.is_open(name) for name in self.contactors_of(connector))

    def is_proven_open(self, connector: Connector) -> bool:
        """Whether the read-back of a contactor above this connector says that it is open."""
        return any(
            self._states[name].spec.read_back and self.is_open(name)
            for name in self.contactors_of(connector)
        )

    def causes_of(self, name: str) -> set[CauseKey]:
        """Return the causes that an output serves, also in the place of another."""
        state = self._states.get(name)
        return self._serving(state) if state is not None else set()

    def agrees_since_s(self, name: str) -> float | None:
        """Return since when an output does what it should, monotonic; None while it does not."""
        state = self._states.get(name)
        return state.agrees_since_s if state is not None else None

    def fault(self, name: str) -> str:
        """Return in a word what is wrong with an output, "" for nothing."""
        state = self._states.get(name)
        return state.fault if state is not None else ""

    def fault_on(self, name: str) -> bool:
        """Return what an output was told when it began to fail."""
        state = self._states.get(name)
        return state is not None and state.fault_on

    def why(self, name: str) -> str:
        """Return in a word why an output does not do what it should."""
        state = self._states.get(name)
        return "unknown" if state is None else _why(state)

    def specs(self) -> list[Output]:
        """Return all outputs but the loudspeaker."""
        return [state.spec for state in self._states.values()]

    @property
    def speaker_needed(self) -> bool:
        """Whether a siren should sound and neither it nor any backup of it does."""
        return any(
            state.fault
            and state.on
            and state.spec.kind in SOUNDS
            and not self._sounds_instead(state)
            for state in self._states.values()
        )

    def _sounds_instead(self, state: _State) -> bool:
        return any(not backup.fault for backup in self._backups(state))

    def views(self) -> tuple[OutputView, ...]:
        """Return the outputs as they are shown."""
        return tuple(
            OutputView(
                name=state.spec.name,
                kind=state.spec.kind,
                ordered_on=state.on,
                reads_on=state.reads_on,
                fault=state.fault,
            )
            for state in self._states.values()
        )

    # Inside

    def _settle_all(self, now: Moment) -> None:
        """Switch what should change, backups too: what one does may be due to another."""
        for state in self._states.values():
            self._settle(state, now)

    def _settle(self, state: _State, now: Moment) -> None:
        on = bool(self._wanting(state))
        if on is state.on:
            return
        state.on = on
        state.disagrees_since_s = now.mono_s
        self._order(state, now)

    def _wanting(self, state: _State) -> set[CauseKey]:
        """Return the causes that want an output on now."""
        causes = self._serving(state)
        return causes - self._silenced if state.spec.kind in SOUNDS else causes

    def _serving(self, state: _State) -> set[CauseKey]:
        """Return the causes that an output serves, also in the place of those that fail."""
        causes = set(state.wanted_by)
        for other in self._states.values():
            if other.fault and any(each is state for each in self._backups(other)):
                causes |= other.wanted_by
        return causes

    def _backups(self, state: _State) -> Iterator[_State]:
        """Yield who sounds in the place of an output: its backup, and on while that one fails."""
        seen = {state.spec.name}
        backup = self._states.get(state.spec.backup)
        while backup is not None and backup.spec.name not in seen:
            yield backup
            seen.add(backup.spec.name)
            backup = self._states.get(backup.spec.backup) if backup.fault else None

    def _order(self, state: _State, now: Moment) -> None:
        if state.spec.kind is OutputKind.CONTACTOR and not state.on and self.hold_contactors:
            return
        on = state.toggled if state.spec.kind is OutputKind.WATCHDOG else state.on
        state.order_no += 1
        state.ordered_s = now.mono_s
        # A watchdog that misses one beat of two has not failed yet.
        if state.spec.kind is not OutputKind.WATCHDOG:
            state.answered, state.agrees_since_s = "", None
        order_no = state.order_no

        def done(ok: bool, at: Moment) -> None:
            if state.order_no == order_no:
                state.answered = "yes" if ok else "no"
                self._judge(state, at)
            if ok:
                self._on_answered(state.spec, on, at)

        self._write(state.spec.name, on, done)

    def _agrees(self, state: _State) -> bool:
        if state.answered != "yes":
            return False
        if not state.spec.read_back or state.spec.kind is OutputKind.WATCHDOG:
            return True
        return state.reads_on is state.on

    def _judge(self, state: _State, now: Moment) -> None:
        """Begin or end the fault of an output by what is known of it."""
        if state.spec.kind is OutputKind.CONTACTOR and not state.on and self.hold_contactors:
            return
        if self._agrees(state):
            state.disagrees_since_s = None
            if state.agrees_since_s is None:
                state.agrees_since_s = now.mono_s
            # A siren that does not come on is not well because it is off again.
            if state.fault and (state.on is state.fault_on or state.fault == "no_answer"):
                self._set_fault(state, "", now)
            return
        state.agrees_since_s = None
        if state.disagrees_since_s is None:
            state.disagrees_since_s = now.mono_s
        if now.mono_s - state.disagrees_since_s > _AGREE_S and not state.fault:
            self._set_fault(state, _why(state), now)

    def _set_fault(self, state: _State, reason: str, now: Moment) -> None:
        was, state.fault = state.fault, reason
        if reason:
            state.fault_on = state.on
        self._on_fault(OutputFault(state.spec, reason or was, state.fault_on, bool(reason), now))
        self._settle_all(now)


def _coil(spec: Output) -> tuple[str, str]:
    return spec.device, spec.point


def _why(state: _State) -> str:
    if state.answered != "yes":
        return "no_answer"
    if state.reads_on is None:
        return "unreadable"
    return "reads_on" if state.reads_on else "reads_off"
