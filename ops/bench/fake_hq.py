"""An HQ that only acknowledges: each batch is counted and named in `down/ack`, nothing is stored.

For benches of the station alone, with a real broker between the two.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from ops.bench.children import BenchError, answer_requests
from shared.contracts import topics
from shared.contracts.envelope import VERSION, Ack, decode_uplink, encode
from shared.contracts.topics import Lane

_CONNECT_LIMIT_S = 10.0


class FakeHq:
    """Counts telemetry records by station and acknowledges every batch at once."""

    def __init__(self) -> None:
        self._records: dict[str, int] = {}
        self._batches = 0
        self._bytes = 0
        self._seen: set[tuple[str, bytes, Lane, int]] = set()
        self._changed = threading.Condition()
        self._subscribed = threading.Event()
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id="bench-hq", protocol=mqtt.MQTTv5
        )
        self._client.on_message = self._on_message
        self._client.on_subscribe = lambda *_: self._subscribed.set()

    def connect(self, host: str, port: int, user: str, password: str) -> dict[str, Any]:
        """Subscribe to everything that comes up."""
        self._client.username_pw_set(user, password)
        self._client.connect(host, port)
        self._client.loop_start()
        self._client.subscribe(f"{topics.ROOT}/+/up/#", qos=1)
        if not self._subscribed.wait(_CONNECT_LIMIT_S):
            raise BenchError("the broker does not let the bench subscribe")
        return {"connected": True}

    def _on_message(self, client: mqtt.Client, data: Any, message: mqtt.MQTTMessage) -> None:
        del data
        place = topics.parse_up(message.topic)
        if place is None or place[1] is Lane.LIVE:
            return
        uplink = decode_uplink(bytes(message.payload))
        ack = Ack(VERSION, uplink.epoch, ((uplink.lane, (uplink.seq,)),), int(time.time() * 1000))
        client.publish(topics.down_ack(place[0]), encode(ack), qos=0)
        key = (place[0], uplink.epoch.bytes, uplink.lane, uplink.seq)
        with self._changed:
            if key in self._seen:
                return
            self._seen.add(key)
            self._batches += 1
            self._bytes += len(message.payload)
            if uplink.lane is Lane.TELEMETRY:
                self._records[place[0]] = self._records.get(place[0], 0) + uplink.count
            self._changed.notify_all()

    def count(self, station_no: str) -> dict[str, Any]:
        """Return what came so far."""
        with self._changed:
            return {
                "records": self._records.get(station_no, 0),
                "batches": self._batches,
                "bytes": self._bytes,
            }

    def wait_for(self, station_no: str, records: int, limit_s: float) -> dict[str, Any]:
        """Return when so many records of a station have come, or when patience ends."""
        with self._changed:
            self._changed.wait_for(lambda: self._records.get(station_no, 0) >= records, limit_s)
        return self.count(station_no)


def main() -> None:
    """Serve the bench until it closes stdin."""
    hq = FakeHq()
    answer_requests({"connect": hq.connect, "count": hq.count, "wait_for": hq.wait_for})


if __name__ == "__main__":
    main()
