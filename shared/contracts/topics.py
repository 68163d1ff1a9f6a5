"""MQTT topic names: built and parsed here only.

A station may write its own `up/#` and `status`, and read its own `down/#`; nothing else.
"""

from __future__ import annotations

import re
from enum import StrEnum

ROOT = "vw/1"
STATION_NO = re.compile(r"[A-Za-z0-9_-]{1,32}\Z")
"""What a station number may look like: it is a topic level and a user name."""

WORKER_UPLINKS = f"$share/hq/{ROOT}/+/up/#"
"""What HQ's workers share; each message reaches one of them."""
ALL_STATUS = f"{ROOT}/+/status"
"""What each worker hears, unshared."""


class Lane(StrEnum):
    """The lanes up, first things first. All but `live` are acknowledged by HQ."""

    ALARM = "alarm"
    BILL = "bill"
    STATE = "state"
    TELEMETRY = "telemetry"
    LIVE = "live"


def up(station_no: str, lane: Lane) -> str:
    """Return where a station sends a lane."""
    return f"{ROOT}/{station_no}/up/{lane}"


def down_ack(station_no: str) -> str:
    """Return where HQ names the batches that it has committed."""
    return f"{ROOT}/{station_no}/down/ack"


def down_command(station_no: str) -> str:
    """Return where HQ sends commands."""
    return f"{ROOT}/{station_no}/down/command"


def all_down(station_no: str) -> str:
    """Return what a station subscribes to."""
    return f"{ROOT}/{station_no}/down/#"


def status(station_no: str) -> str:
    """Return where a station, or its will, says on-line or off-line (retained)."""
    return f"{ROOT}/{station_no}/status"


def parse_up(topic: str) -> tuple[str, Lane] | None:
    """Return station number and lane of an uplink topic, None if it is no such topic."""
    match topic.split("/"):
        case ["vw", "1", station_no, "up", lane] if STATION_NO.match(station_no):
            try:
                return station_no, Lane(lane)
            except ValueError:
                return None
    return None


def parse_status(topic: str) -> str | None:
    """Return the station number of a status topic, None if it is no such topic."""
    match topic.split("/"):
        case ["vw", "1", station_no, "status"] if STATION_NO.match(station_no):
            return station_no
    return None
