"""What the broker is told, as text: its configuration, its users and what each may do."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from string import Template
from typing import Any

from shared.contracts import topics
from shared.contracts.topics import ALL_STATUS, ROOT, STATION_NO, WORKER_UPLINKS

ADMIN = "hq.admin"
WORKER = "hq.worker"
"""Users of HQ. A station number has no dot, so no station can be called like them."""
CONTROL = "$CONTROL/dynamic-security/v1"
"""Where the broker takes changes to its users, and with `/response` answers."""

_ITERATIONS = 101
_HERE = Path(__file__).parent

Command = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """What differs between two installations."""

    folder: Path
    """Holds mosquitto.conf, server.crt and server.key."""
    data: Path
    """Holds users.json and the retained messages; the broker writes both."""
    plugin: Path
    user: str = "mosquitto"
    station_host: str = "0.0.0.0"  # noqa: S104 - stations come from everywhere
    station_port: int = 8883
    worker_host: str = "127.0.0.1"
    worker_port: int = 1883
    connections_max: int = 10_000


def find_plugin() -> Path:
    """Return mosquitto's dynamic security plugin; Debian's place if it is not there."""
    name = "mosquitto_dynamic_security.so"
    found = sorted(Path("/usr/lib").glob(f"*/{name}")) + sorted(Path("/usr").glob(f"l*/{name}"))
    return found[0] if found else Path("/usr/lib/x86_64-linux-gnu") / name


def configuration(places: Places) -> str:
    """Return mosquitto.conf."""
    template = Template((_HERE / "mosquitto.conf.template").read_text(encoding="utf-8"))
    return template.substitute(asdict(places))


def first_users(*, admin_secret: str, worker_secret: str) -> str:
    """Return users.json of a new broker: HQ's administrator and workers, no station yet."""
    admin = [
        _may(kind, f"{CONTROL.rpartition('/')[0]}/#")
        for kind in ("publishClientSend", "publishClientReceive", "subscribePattern")
    ]
    worker = [
        _may("subscribeLiteral", WORKER_UPLINKS),
        _may("subscribeLiteral", ALL_STATUS),
        _may("publishClientReceive", f"{ROOT}/+/up/#"),
        _may("publishClientReceive", ALL_STATUS),
        # They cannot speak for a station: neither `up` nor `status` is theirs to write.
        _may("publishClientSend", topics.down_ack("+")),
        _may("publishClientSend", topics.down_command("+")),
    ]
    return json.dumps(
        {
            "defaultACLAccess": {
                "publishClientSend": False,
                "publishClientReceive": False,
                "subscribe": False,
                "unsubscribe": True,
            },
            "clients": [_client(ADMIN, admin_secret), _client(WORKER, worker_secret)],
            "groups": [],
            "roles": [{"rolename": ADMIN, "acls": admin}, {"rolename": WORKER, "acls": worker}],
        },
        indent=1,
    )


def let_in(station_no: str, secret: str) -> list[Command]:
    """Return the broker's commands that let a station in, with no more than its own topics.

    Raises:
        ValueError: Not a station number, or no secret.
    """
    if not STATION_NO.match(station_no):
        raise ValueError(f"station {station_no!r}: up to 32 letters, digits, - or _")
    if not secret:
        raise ValueError("the secret is empty; it is read from standard input")
    own = [
        _may("publishClientSend", f"{ROOT}/{station_no}/up/#"),
        _may("publishClientSend", topics.status(station_no)),
        _may("publishClientReceive", topics.all_down(station_no)),
        _may("subscribePattern", topics.all_down(station_no)),
    ]
    roles = [{"rolename": station_no}]
    return [
        {"command": "createRole", "rolename": station_no, "acls": own},
        {"command": "createClient", "username": station_no, "password": secret, "roles": roles},
    ]


def shut_out(station_no: str) -> list[Command]:
    """Return the commands that remove a station; a connection of its own ends at once."""
    return [
        {"command": "deleteClient", "username": station_no},
        {"command": "deleteRole", "rolename": station_no},
    ]


def _may(kind: str, topic: str) -> dict[str, object]:
    return {"acltype": kind, "topic": topic, "priority": 0, "allow": True}


def _client(user: str, secret: str) -> dict[str, object]:
    salt = secrets.token_bytes(12)
    digest = hashlib.pbkdf2_hmac("sha512", secret.encode(), salt, _ITERATIONS)
    return {
        "username": user,
        "roles": [{"rolename": user}],
        "password": base64.b64encode(digest).decode(),
        "salt": base64.b64encode(salt).decode(),
        "iterations": _ITERATIONS,
    }
