"""Reads what HQ sends: acknowledgements and commands. Anything else is counted, never obeyed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from shared.contracts import topics
from shared.contracts.envelope import Ack, CommandEnvelope, decode_ack, decode_command
from shared.errors import MalformedContractError

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class DownlinkCounters:
    """What was not obeyed, and why."""

    malformed: int = 0
    foreign: int = 0
    retained: int = 0


class Downlink:
    """Sorts messages for one station."""

    def __init__(
        self,
        station_no: str,
        *,
        on_ack: Callable[[Ack], None],
        on_command: Callable[[CommandEnvelope], None],
    ) -> None:
        self._station_no = station_no
        self._ack_topic = topics.down_ack(station_no)
        self._command_topic = topics.down_command(station_no)
        self._on_ack = on_ack
        self._on_command = on_command
        self._complained = False
        self.counters = DownlinkCounters()

    def feed(self, topic: str, payload: bytes, *, retained: bool) -> None:
        """Take in one message; never raises on what was sent."""
        if retained:
            # A command left at the broker is of another time; HQ sends none that way.
            self.counters.retained += 1
            return
        try:
            if topic == self._ack_topic:
                self._on_ack(decode_ack(payload))
            elif topic == self._command_topic:
                self._take_command(decode_command(payload))
            else:
                raise MalformedContractError("nothing is expected on this topic")
        except MalformedContractError as error:
            self.counters.malformed += 1
            if not self._complained:
                # Once: whoever sends nonsense sends much of it.
                self._complained = True
                logger.warning("unreadable message topic=%s: %s", topic, str(error)[:200])

    def _take_command(self, envelope: CommandEnvelope) -> None:
        if envelope.station_no != self._station_no:
            self.counters.foreign += 1
            logger.warning("command for another station command_id=%s", envelope.command_id)
            return
        try:
            self._on_command(envelope)
        except Exception:
            # One command's bug must not end the link, and HQ hears nothing settled; it is in
            # the log with its place.
            logger.exception("command failed command_id=%s", envelope.command_id)
