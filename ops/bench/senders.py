"""Stations as HQ sees them: batches of telemetry over MQTT, resent until acknowledged.

A child of the bench. Batches are made before the clock starts, so that what runs beside HQ is
little more than a socket.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import islice
from typing import Any
from uuid import UUID, uuid4

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from ops.bench.children import BenchError, answer_requests
from ops.bench.samples import charging_samples
from shared.contracts import topics
from shared.contracts.envelope import VERSION, Uplink, decode_ack, encode
from shared.contracts.telemetry import pack_samples
from shared.contracts.topics import Lane

_CONNECT_LIMIT_S = 10.0
_RESEND_AFTER_S = 5.0
_CONNECTORS = 12
_STEP_MS = 15_000
_RUN_APART_MS = 3_600_000 * 24


class Senders:
    """Some stations in one process; each keeps at most eight batches in flight."""

    def __init__(self) -> None:
        self._stations: list[str] = []
        self._queues: dict[str, list[tuple[int, bytes]]] = {}
        self._flying: dict[tuple[str, int], bytes] = {}
        self._epochs: dict[str, UUID] = {}
        self._window = 8
        self._acked = 0
        self._runs = 0
        self._changed = threading.Condition()
        self._subscribed = threading.Event()
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id="bench-stations", protocol=mqtt.MQTTv5
        )
        self._client.on_message = self._on_ack
        self._client.on_subscribe = lambda *_: self._subscribed.set()

    def connect(
        self, host: str, port: int, user: str, password: str, stations: list[str]
    ) -> dict[str, Any]:
        """Hear the acknowledgements of these stations."""
        self._stations = stations
        self._client.max_inflight_messages_set(200)
        self._client.username_pw_set(user, password)
        self._client.connect(host, port)
        self._client.loop_start()
        self._client.subscribe([(topics.down_ack(number), 0) for number in stations])
        if not self._subscribed.wait(_CONNECT_LIMIT_S):
            raise BenchError("the broker does not let the bench subscribe")
        return {"stations": len(stations)}

    def prepare(self, batches: int, records: int) -> dict[str, Any]:
        """Make as many batches of as many records, dealt to the stations in turn."""
        self._runs += 1
        # No two runs share a time: HQ knows a record by charge point, connector, time and kind.
        end_ms = int(time.time() * 1000) - self._runs * _RUN_APART_MS
        per_station = -(-batches // len(self._stations))
        left = batches
        for number in self._stations:
            epoch = self._epochs[number] = uuid4()
            count = min(per_station, left)
            left -= count
            samples = charging_samples(
                _CONNECTORS, end_ms - per_station * records * _STEP_MS // _CONNECTORS, _STEP_MS
            )
            queue = self._queues[number] = []
            for seq in range(1, count + 1):
                body = pack_samples(list(islice(samples, records)))
                uplink = Uplink(
                    version=VERSION,
                    station_no=number,
                    epoch=epoch,
                    lane=Lane.TELEMETRY,
                    seq=seq,
                    sealed_at_ms=end_ms,
                    count=records,
                    body=body,
                )
                queue.append((seq, encode(uplink)))
            queue.reverse()
        return {"records": batches * records}

    def send(self, limit_s: float) -> dict[str, Any]:
        """Send what was prepared; return when all of it is acknowledged."""
        self._acked = 0
        wanted = sum(map(len, self._queues.values()))
        started_s = time.perf_counter()
        deadline_s = started_s + limit_s
        with self._changed:
            for number in self._stations:
                self._fill(number)
            while self._acked < wanted and time.perf_counter() < deadline_s:
                if not self._changed.wait(_RESEND_AFTER_S):
                    for (number, _), message in self._flying.items():
                        self._client.publish(topics.up(number, Lane.TELEMETRY), message, qos=1)
            lost = wanted - self._acked
        if lost:
            raise BenchError(f"{lost} of {wanted} batches were never acknowledged")
        return {"batches": wanted, "seconds": time.perf_counter() - started_s}

    def _fill(self, number: str) -> None:
        flying = sum(1 for station, _ in self._flying if station == number)
        queue = self._queues[number]
        while queue and flying < self._window:
            seq, message = queue.pop()
            self._flying[number, seq] = message
            self._client.publish(topics.up(number, Lane.TELEMETRY), message, qos=1)
            flying += 1

    def _on_ack(self, client: mqtt.Client, data: Any, message: mqtt.MQTTMessage) -> None:
        del client, data
        number = message.topic.split("/")[2]
        ack = decode_ack(bytes(message.payload))
        if ack.epoch != self._epochs.get(number):
            return
        with self._changed:
            for _, seqs in ack.committed:
                for seq in seqs:
                    if self._flying.pop((number, seq), None) is not None:
                        self._acked += 1
            self._fill(number)
            self._changed.notify_all()


def main() -> None:
    """Serve the bench until it closes stdin."""
    senders = Senders()
    handlers: dict[str, Callable[..., dict[str, Any]]] = {
        "connect": senders.connect,
        "prepare": senders.prepare,
        "send": senders.send,
    }
    answer_requests(handlers)


if __name__ == "__main__":
    main()
