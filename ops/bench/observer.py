"""Somebody who looks at a station through the broker while its backlog drains.

A child of the bench: renews the lease of the live lane, notes how old each live update is when
it comes, and when HQ acknowledged what.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Any

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from ops.bench.children import BenchError, answer_requests
from shared.contracts import topics
from shared.contracts.commands import Watch
from shared.contracts.envelope import CommandEnvelope, decode_ack, decode_uplink, encode
from shared.contracts.live import decode_live
from shared.contracts.topics import Lane
from shared.ids import uuid7

_CONNECT_LIMIT_S = 10.0
_RENEW_S = 20.0
_NEVER_S = float("inf")


class Observer:
    """Watches one station at a time."""

    def __init__(self) -> None:
        self._station_no = ""
        self._counts: dict[tuple[Lane, int], int] = {}
        self._acked = 0
        self._bills_waiting = 0
        self._acked_before_bills = 0
        self._first_s = self._last_s = self._bills_s = 0.0
        self._live_ms: list[float] = []
        self._changed = threading.Condition()
        self._subscribed = threading.Event()
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id="bench-observer", protocol=mqtt.MQTTv5
        )
        self._client.on_message = self._on_message
        self._client.on_subscribe = lambda *_: self._subscribed.set()

    def connect(self, host: str, port: int, user: str, password: str) -> dict[str, Any]:
        """Connect to the broker."""
        self._client.username_pw_set(user, password)
        self._client.connect(host, port)
        self._client.loop_start()
        return {}

    def look_at(self, station_no: str, bills: int) -> dict[str, Any]:
        """Begin to watch a station, before it comes up; it has so many facts of bills to tell.

        What its charge points do meanwhile comes behind these on the same lane.
        """
        self._bills_waiting = bills
        self._station_no = station_no
        self._counts.clear()
        self._live_ms.clear()
        self._acked = self._acked_before_bills = 0
        self._first_s = self._last_s = self._bills_s = 0.0
        self._subscribed.clear()
        lanes = [topics.up(station_no, lane) for lane in (Lane.BILL, Lane.TELEMETRY, Lane.LIVE)]
        self._client.subscribe([(topic, 1) for topic in (*lanes, topics.down_ack(station_no))])
        if not self._subscribed.wait(_CONNECT_LIMIT_S):
            raise BenchError("the broker does not let the bench subscribe")
        return {}

    def _renew(self) -> None:
        command = CommandEnvelope(
            command_id=uuid7(int(time.time() * 1000)),
            station_no=self._station_no,
            issued_at=datetime.now(UTC),
            command=Watch(lease_s=60),
        )
        self._client.publish(topics.down_command(self._station_no), encode(command), qos=1)

    def wait_for(self, records: int, limit_s: float) -> dict[str, Any]:
        """Keep the lease until so many records are acknowledged; return what was seen."""
        deadline_s = time.perf_counter() + limit_s
        renewed_s = -_NEVER_S
        with self._changed:
            while self._acked < records and time.perf_counter() < deadline_s:
                # The first may come too early for a station that is not connected yet.
                every_s = _RENEW_S if self._live_ms else 0.5
                if time.perf_counter() - renewed_s > every_s:
                    self._renew()
                    renewed_s = time.perf_counter()
                self._changed.wait(0.2)
            return {
                "acked": self._acked,
                "seconds": self._last_s - self._first_s,
                "bills_after_s": self._bills_s - self._first_s,
                "acked_before_bills": self._acked_before_bills,
                "live_ms": self._live_ms,
            }

    def _on_message(self, client: mqtt.Client, data: Any, message: mqtt.MQTTMessage) -> None:
        del client, data
        payload = bytes(message.payload)
        now_s = time.perf_counter()
        with self._changed:
            if message.topic.endswith("/ack"):
                self._take_ack(payload, now_s)
            elif message.topic.endswith(Lane.LIVE):
                self._live_ms.append(time.time() * 1000 - decode_live(payload).at_ms)
            else:
                uplink = decode_uplink(payload)
                self._counts[uplink.lane, uplink.seq] = uplink.count
                if uplink.lane is Lane.TELEMETRY:
                    self._first_s = self._first_s or now_s

    def _take_ack(self, payload: bytes, now_s: float) -> None:
        for lane, seqs in decode_ack(payload).committed:
            count = sum(self._counts.pop((lane, seq), 0) for seq in seqs)
            if lane is Lane.TELEMETRY:
                self._acked += count
                self._last_s = now_s
            elif lane is Lane.BILL and self._bills_waiting > 0:
                self._bills_waiting -= count
                self._bills_s = now_s
                self._acked_before_bills = self._acked
        self._changed.notify_all()


def main() -> None:
    """Serve the bench until it closes stdin."""
    observer = Observer()
    answer_requests(
        {
            "connect": observer.connect,
            "look_at": observer.look_at,
            "wait_for": observer.wait_for,
        }
    )


if __name__ == "__main__":
    main()
