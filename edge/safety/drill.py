"""The drill: every siren, strobe and the loudspeaker for a moment, with its read-back.

Nothing is stopped, and a real danger ends it at once. One output after the other, so that people
hear which of them is silent.
"""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from edge.devices.chargers.reports import Moment
from edge.safety.outputs import CauseKey, Outputs
from edge.safety.speaker import DRILL_MESSAGE, Speaker
from shared.clock import from_ms
from shared.contracts.events import DrillFinished, OutputTested
from shared.contracts.protection import Output, OutputKind
from shared.errors import RefusedError

KEY: CauseKey = ("siren_drill", "station")
ON_S = 1.0
"""How long each output sounds at least."""
_LIMIT_S = 2.0
"""Until an output that does not read back is called silent, or stuck."""
SPEAK_S = 4.0
SPEAKER = "speaker"
DRILLED = frozenset({OutputKind.SIREN, OutputKind.STROBE})


class DrillError(RefusedError):
    """A drill cannot begin; the text says why."""


class Drill:
    """One run; call `step` several times a second until it returns the result.

    Args:
        drill_id: Names the run.
        by: Who began it.
        outputs: Those of the document; sirens and strobes of it are tried.
        with_speaker: Whether the loudspeaker is tried too.
        now: When it begins.
    """

    def __init__(
        self, drill_id: UUID, by: str, outputs: Iterable[Output], now: Moment, *, with_speaker: bool
    ) -> None:
        self._drill_id = drill_id
        self._by = by
        self._waiting = [output for output in outputs if output.kind in DRILLED]
        self._with_speaker = with_speaker
        self._current: Output | None = None
        self._going_off = False
        self._since = now
        self._read_s: float | None = None
        self._speaking = False
        self._tested: list[OutputTested] = []
        if not self._waiting and not with_speaker:
            raise DrillError(
                "drill_nothing", "drill: no siren, strobe or loudspeaker is configured here"
            )

    def step(self, outputs: Outputs, speaker: Speaker, now: Moment) -> DrillFinished | None:
        """Go on; the result when all are through."""
        if self._current is not None:
            self._look(self._current, outputs, now)
        if self._current is None and self._waiting:
            self._current = self._waiting.pop(0)
            self._going_off, self._since, self._read_s = False, now, None
            outputs.want(KEY, (self._current.name,), now, anew=True)
        if self._current is not None:
            return None
        if self._with_speaker:
            self._speak(speaker, now)
            return None
        return self._finished(now)

    def abort(self, outputs: Outputs, now: Moment) -> DrillFinished:
        """End at once: something real is wrong."""
        outputs.drop(KEY, now)
        left = [each.name for each in (self._current, *self._waiting) if each is not None]
        if self._with_speaker:
            left.append(SPEAKER)
        self._tested += [OutputTested(name, ok=False, detail="interrupted") for name in left]
        return self._finished(now)

    @property
    def speaks(self) -> bool:
        """Whether the loudspeaker is being tried."""
        return self._speaking

    def _look(self, output: Output, outputs: Outputs, now: Moment) -> None:
        agrees_s = outputs.agrees_since_s(output.name)
        passed_s = now.mono_s - self._since.mono_s
        if not self._going_off:
            if agrees_s is not None and self._read_s is None:
                self._read_s = agrees_s
            if passed_s < (ON_S if self._read_s is not None else _LIMIT_S):
                return
            self._going_off = True
            self._tested.append(self._judge(output, outputs))
            self._since = now
            outputs.drop(KEY, now)
        elif agrees_s is not None:
            self._current = None
        elif passed_s >= _LIMIT_S:
            tested = self._tested.pop()
            self._tested.append(
                OutputTested(output.name, False, tested.read_back_ms, tested.detail or "stays_on")
            )
            self._current = None

    def _judge(self, output: Output, outputs: Outputs) -> OutputTested:
        if self._read_s is None:
            return OutputTested(output.name, ok=False, detail=outputs.why(output.name))
        if not output.read_back:
            return OutputTested(output.name, ok=True, detail="no_read_back")
        read_back_ms = max(0, round((self._read_s - self._since.mono_s) * 1000))
        return OutputTested(output.name, ok=True, read_back_ms=read_back_ms)

    def _speak(self, speaker: Speaker, now: Moment) -> None:
        if not self._speaking:
            self._speaking, self._since = True, now
            speaker.say(DRILL_MESSAGE)
        elif now.mono_s - self._since.mono_s >= SPEAK_S:
            reason = speaker.reason
            self._tested.append(OutputTested(SPEAKER, ok=not reason, detail=reason))
            self._with_speaker = self._speaking = False

    def _finished(self, now: Moment) -> DrillFinished:
        return DrillFinished(
            occurred_at=from_ms(now.wall_ms),
            drill_id=self._drill_id,
            by=self._by,
            outputs=tuple(self._tested),
        )
