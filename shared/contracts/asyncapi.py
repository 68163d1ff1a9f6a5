"""Writes `asyncapi.json`: the link described for people and programs that are not in Python.

Run `python -m shared.contracts.asyncapi` after a change; a test compares file and contracts.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from shared.contracts import commands, envelope, events, live, telemetry, topics
from shared.contracts.topics import Lane

FILE = Path(__file__).with_name("asyncapi.json")
_STATION = "{station_id}"
_REF = "#/components/schemas/{name}"

_CHANNELS = {
    "alarm": (topics.up(_STATION, Lane.ALARM), "Uplink", "Alarms and questions; first of all."),
    "bill": (topics.up(_STATION, Lane.BILL), "Uplink", "Facts of transactions."),
    "state": (topics.up(_STATION, Lane.STATE), "Uplink", "Every other fact."),
    "telemetry": (topics.up(_STATION, Lane.TELEMETRY), "Uplink", "Samples, in columns."),
    "live": (topics.up(_STATION, Lane.LIVE), "LiveUpdate", "Latest values; QoS 0, never a truth."),
    "ack": (topics.down_ack(_STATION), "Ack", "Exactly the batches that HQ has committed."),
    "command": (topics.down_command(_STATION), "CommandEnvelope", "One command."),
    "status": (topics.status(_STATION), "Status", "On-line or off-line; retained, and the will."),
}


def describe() -> dict[str, Any]:
    """Return the AsyncAPI 3 document."""
    types = [
        envelope.Uplink,
        envelope.Ack,
        envelope.CommandEnvelope,
        envelope.Status,
        live.LiveUpdate,
        telemetry.Block,
        events.AnyEvent,
        commands.AnyCommand,
    ]
    _, schemas = msgspec.json.schema_components(types, ref_template=_REF)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Voltwarden station link",
            "version": str(envelope.VERSION),
            "description": (
                "MQTT 5. Payloads are msgpack of the schemas below. The body of an Uplink is zstd "
                "over msgpack: a list of events, or on the telemetry lane a list of Block. "
                "A UUID travels as its 16 bytes; as text it is read too. "
                "Lanes alarm, bill, state and telemetry are QoS 1 and acknowledged on down/ack."
            ),
        },
        "channels": {
            name: {
                "address": address,
                "description": text,
                "parameters": {"station_id": {"description": "The station's short number."}},
                "messages": {message: {"$ref": f"#/components/messages/{message}"}},
            }
            for name, (address, message, text) in _CHANNELS.items()
        },
        "components": {
            "messages": {
                message: {
                    "contentType": "application/msgpack",
                    "payload": {"$ref": _REF.format(name=message)},
                }
                for message in sorted({message for _, message, _ in _CHANNELS.values()})
            },
            "schemas": schemas,
        },
    }


def render() -> str:
    """Return the document as it stands in the file."""
    return json.dumps(describe(), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    FILE.write_text(render(), encoding="utf-8")
