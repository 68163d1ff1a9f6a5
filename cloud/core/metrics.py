"""What HQ counts about itself, for `/metrics`. Labels are bounded: no numbers, no people."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

BATCHES = Counter(
    "vw_ingest_batches", "Uplink batches by lane and what became of them", ["lane", "outcome"]
)
RECORDS = Counter("vw_ingest_telemetry_records", "Telemetry records committed")
OUT_OF_RANGE = Counter("vw_ingest_values_out_of_range", "Telemetry values no device can mean")
EVENTS = Counter("vw_ingest_events", "Facts handled, by kind", ["kind"])
COMMIT_SECONDS = Histogram("vw_ingest_commit_seconds", "Time of one ingest transaction", ["path"])
WAITING = Gauge("vw_ingest_waiting_bytes", "Bytes that wait for a transaction", ["path"])
COMMANDS = Counter("vw_commands_sent", "Commands published, repeats included", ["kind"])
ONLINE = Gauge("vw_stations_online", "Stations that were heard of lately")
BROKER_UP = Gauge("vw_broker_up", "1 while this worker is connected to the broker")
REQUESTS = Counter("vw_http_requests", "HTTP requests", ["route", "method", "status"])
REQUEST_SECONDS = Histogram("vw_http_request_seconds", "Time of an HTTP request", ["route"])
