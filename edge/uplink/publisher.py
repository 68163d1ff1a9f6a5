"""Decides which batch goes up next. No sockets: it is given something to send with.

Alarm, bill and state have one batch in flight each; telemetry has a window that opens as HQ
confirms and shuts when it does not. A batch is gone only when HQ has named it: the broker's
PUBACK only says that sending it again is no longer useless.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from edge.journal import Batch, Journal
from edge.journal.store import LANES
from edge.telemetry import Telemetry
from shared.clock import Clock
from shared.contracts.envelope import VERSION, Ack, Uplink, encode
from shared.contracts.topics import Lane

_URGENT = (Lane.ALARM, Lane.BILL)


class SentMessage(Protocol):
    """A message on its way."""

    @property
    def at_broker(self) -> bool:
        """Whether the broker has it."""
        ...


Send = Callable[[Lane, bytes], SentMessage]


@dataclass(slots=True)
class _InFlight:
    message: SentMessage
    no: int
    """Counts what was sent, ever."""
    since_s: float
    """When the broker was last seen not to have it yet, or a batch before it was confirmed."""
    acknowledged: bool = False


class Publisher:
    """What is in flight on one station's lanes; `reset` for each new connection."""

    def __init__(
        self,
        *,
        station_no: str,
        journal: Journal,
        telemetry: Telemetry,
        clock: Clock,
        window_max: int,
        resend_after_s: float,
        resend_max_s: float,
    ) -> None:
        self._station_no = station_no
        self._journal = journal
        self._telemetry = telemetry
        self._clock = clock
        self._window_max = window_max
        self._resend_after_s = resend_after_s
        self._resend_max_s = resend_max_s
        self.sent = 0
        """Batches sent, ever, again or not."""
        self.resent = 0
        """Batches sent again because HQ did not confirm them."""
        self.foreign_acks = 0
        """Acknowledgements of an epoch that is not ours."""
        self.hq_offset_ms: int | None = None
        """HQ's wall clock minus ours at its last acknowledgement."""
        self._flights: dict[tuple[Lane, int], _InFlight] = {}
        self._window = 1
        self._patience_s: dict[Lane, float] = {}

    def reset(self) -> None:
        """Forget what was in flight: the connection is a new one."""
        self._flights.clear()
        self._window = 1
        self._patience_s.clear()

    async def pump(self, send: Send) -> None:
        """Send what may be sent now, urgent lanes first."""
        self._give_up_waiting()
        self._send_heads(send)
        while (seq := self._next_telemetry()) is not None:
            found = await self._telemetry.read(seq)
            # While that was read an alarm may have come.
            self._send_heads(send)
            if found is None:
                return
            sealed, body = found
            batch = Batch(
                self._telemetry.epoch, Lane.TELEMETRY, seq, sealed.sealed_at_ms, sealed.count, body
            )
            self._send(batch, send)

    def _send_heads(self, send: Send) -> None:
        for lane in LANES:
            head = self._journal.head(lane)
            if head is None or (lane, head.seq) in self._flights:
                continue
            for key in [key for key in self._flights if key[0] is lane]:
                del self._flights[key]
            self._send(head, send)

    def _send(self, batch: Batch, send: Send) -> None:
        message = encode(
            Uplink(
                version=VERSION,
                station_no=self._station_no,
                epoch=batch.epoch,
                lane=batch.lane,
                seq=batch.seq,
                sealed_at_ms=batch.sealed_at_ms,
                count=batch.count,
                body=batch.body,
            )
        )
        self.sent += 1
        flight = _InFlight(send(batch.lane, message), self.sent, self._clock.monotonic_s())
        self._flights[batch.lane, batch.seq] = flight

    def _next_telemetry(self) -> int | None:
        flying = sum(lane is Lane.TELEMETRY for lane, _ in self._flights)
        # One at a time while a bill waits: what is in front of it on a slow link delays it.
        urgent = any(self._journal.head(lane) is not None for lane in _URGENT)
        if flying >= (1 if urgent else self._window):
            return None
        return next(
            (
                seq
                for seq in self._telemetry.sealed_seqs()
                if (Lane.TELEMETRY, seq) not in self._flights
            ),
            None,
        )

    def _give_up_waiting(self) -> None:
        """Without progress for long enough: what the broker has is to be sent again."""
        now_s = self._clock.monotonic_s()
        stalled = []
        for key, flight in self._flights.items():
            if flight.acknowledged:
                continue
            if not flight.message.at_broker:
                # On its way yet: a second copy behind it would only take longer.
                flight.since_s = now_s
            elif now_s - flight.since_s >= self._patience(key[0]):
                stalled.append(key)
        for key in stalled:
            del self._flights[key]
        self.resent += len(stalled)
        for lane in {lane for lane, _ in stalled}:
            self._patience_s[lane] = min(self._patience(lane) * 2, self._resend_max_s)
            if lane is Lane.TELEMETRY:
                self._window = 1

    def _patience(self, lane: Lane) -> float:
        return self._patience_s.get(lane, self._resend_after_s)

    def take_ack(self, ack: Ack) -> None:
        """Delete what HQ has committed; its silence about what was sent after that starts anew.

        Only of that lane: a lane on which much happens must not keep a batch that was lost on
        another from being sent again.
        """
        if ack.hq_time_ms:
            self.hq_offset_ms = ack.hq_time_ms - self._clock.now_ms()
        for lane, seqs in ack.committed:
            if lane is Lane.TELEMETRY and ack.epoch == self._telemetry.epoch:
                self._telemetry.acknowledge(seqs)
                self._window = min(self._window + len(seqs), self._window_max)
            elif lane in LANES and ack.epoch == self._journal.epoch:
                self._journal.acknowledge(lane, seqs)
            else:
                self.foreign_acks += 1
                continue
            self._be_patient(lane, seqs)
            self._land(lane, seqs)

    def _be_patient(self, lane: Lane, seqs: tuple[int, ...]) -> None:
        """Wait anew for what stood behind these; what they overtook may be lost."""
        self._patience_s.pop(lane, None)
        landed = [self._flights[lane, seq].no for seq in seqs if (lane, seq) in self._flights]
        now_s = self._clock.monotonic_s()
        for key, flight in self._flights.items():
            if key[0] is lane and flight.no > max(landed, default=self.sent):
                flight.since_s = now_s

    def _land(self, lane: Lane, seqs: tuple[int, ...]) -> None:
        for seq in seqs:
            if lane is Lane.TELEMETRY:
                self._flights.pop((lane, seq), None)
            elif (flight := self._flights.get((lane, seq))) is not None:
                # Known until the journal, which first has to delete it, shows the next batch.
                flight.acknowledged = True
