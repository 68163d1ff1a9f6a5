"""Protection documents from HQ to a station and back: versions, refusals, bindings, PINs."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import msgspec
import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from cloud.core.db import Sessions
from cloud.core.security import Role
from cloud.stations.models import Station
from cloud.stations.service import register_charge_point
from cloud.worker import Worker
from shared.contracts.commands import (
    ChargePointConfig,
    Command,
    Instruct,
    PublishPins,
    PublishProtection,
)
from shared.contracts.events import (
    CommandSettled,
    InstructionAcknowledged,
    ProtectionActivated,
    StationStateReported,
)
from shared.contracts.topics import Lane
from shared.contracts.words import Outcome
from shared.protection import BUILT_IN_RULES, check, document_hash
from tests.component.cloud.conftest import NOW, LogIn, TestStation

NUMBER = "55031412782305"
DOCUMENT: dict[str, Any] = {
    "devices": [
        {"name": "smoke-a", "line": "rs485", "unit_id": 3, "profile": "smoke", "zone": "A"},
        {"name": "relays", "line": "rs485", "unit_id": 9, "profile": "relay"},
    ],
    "zones": [{"name": "A", "connectors": [[NUMBER, 1]]}],
    "outputs": [{"name": "horn", "kind": "siren", "device": "relays", "point": "coil_1"}],
}


class Hq:
    """HQ's API for one station, as an administrator sees it."""

    def __init__(self, client: httpx.AsyncClient, station_no: str, who: dict[str, str]) -> None:
        self.client = client
        self.root = f"/api/v1/stations/{station_no}"
        self.who = who

    async def get(self, path: str) -> Any:
        answer = await self.client.get(f"{self.root}/{path}", headers=self.who)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def put(self, path: str, body: Any, seen: int | None = None) -> httpx.Response:
        headers = self.who if seen is None else self.who | {"If-Match": f'"{seen}"'}
        return await self.client.put(f"{self.root}/{path}", json=body, headers=headers)

    async def post(self, path: str, body: Any = None, seen: int | None = None) -> httpx.Response:
        headers = self.who if seen is None else self.who | {"If-Match": f'"{seen}"'}
        return await self.client.post(f"{self.root}/{path}", json=body, headers=headers)


@pytest.fixture
async def hq(client: httpx.AsyncClient, log_in: LogIn, station: Station, sessions: Sessions) -> Hq:
    async with sessions() as session, session.begin():
        config = ChargePointConfig(charge_point_no=NUMBER, connector_count=2)
        await register_charge_point(session, station=station, config=config, now=NOW)
    return Hq(client, station.station_no, await log_in(Role.ADMIN))


async def next_command(link: TestStation, kind: type[Command]) -> tuple[Any, Any]:
    async with asyncio.timeout(10):
        while True:
            command_id, command = await link.commands.get()
            if isinstance(command, kind):
                return command_id, command


async def settle(
    link: TestStation, command_id: Any, outcome: Outcome = Outcome.DONE, reason: str = ""
) -> None:
    fact = CommandSettled(occurred_at=NOW, command_id=command_id, outcome=outcome, reason=reason)
    await link.committed(await link.send(Lane.STATE, fact))


async def activated(link: TestStation, version: int, sha256: str) -> None:
    fact = ProtectionActivated(occurred_at=NOW, version=version, sha256=sha256)
    await link.committed(await link.send(Lane.STATE, fact))


async def test_a_document_holds_when_the_station_says_so(
    worker: Worker, link: TestStation, hq: Hq
) -> None:
    assert (await hq.get("protection"))["version"] == 0
    made = await hq.put("protection", DOCUMENT, seen=0)
    assert (made.status_code, made.headers["etag"], made.json()["state"]) == (200, '"1"', "sent")
    command_id, command = await next_command(link, PublishProtection)
    check(command.protection)
    assert document_hash(command.protection) == made.json()["sha256"]
    await settle(link, command_id)
    assert (await hq.get("protection"))["in_force"] is False
    await activated(link, 1, made.json()["sha256"])
    read = await hq.get("protection")
    assert (read["state"], read["in_force"], read["active"]["version"]) == ("active", True, 1)
    assert read["document"]["outputs"][0]["name"] == "horn"


async def test_a_refusal_is_shown_and_an_old_version_comes_back(
    worker: Worker, link: TestStation, hq: Hq
) -> None:
    first = (await hq.put("protection", DOCUMENT, seen=0)).json()
    await settle(link, (await next_command(link, PublishProtection))[0])
    await activated(link, 1, first["sha256"])
    changed = msgspec.json.decode(msgspec.json.encode(DOCUMENT))
    changed["devices"][0]["line"] = "nowhere"
    assert (await hq.put("protection", changed, seen=1)).status_code == 200
    command_id, _ = await next_command(link, PublishProtection)
    await settle(link, command_id, Outcome.REJECTED, "devices[0].line: no such line")
    read = await hq.get("protection")
    assert (read["state"], read["refusal"]) == ("refused", "devices[0].line: no such line")
    assert (read["active"]["version"], read["in_force"]) == (1, False)
    # The station starts anew with its last good one: it is not bothered with the same again.
    await activated(link, 1, first["sha256"])
    assert (await hq.get("protection"))["state"] == "refused"

    differs = await hq.get("protection/compare?before=1&after=2")
    assert differs == [{"path": "devices[smoke-a].line", "before": "rs485", "after": "nowhere"}]
    back = await hq.post("protection/versions/1/publish", seen=2)
    assert (back.status_code, back.json()["version"], back.json()["rolled_back_to"]) == (200, 3, 1)
    assert back.json()["sha256"] == first["sha256"]
    command_id, command = await next_command(link, PublishProtection)
    assert command.version == 3
    await settle(link, command_id)
    await activated(link, 3, first["sha256"])
    versions = await hq.get("protection/versions")
    assert [(each["version"], each["state"]) for each in versions] == [
        (3, "active"),
        (2, "refused"),
        (1, "replaced"),
    ]
    assert (await hq.get("protection/versions/2"))["document"]["devices"][0]["line"] == "nowhere"


EMPTY = StationStateReported(
    occurred_at=NOW,
    connectors=(),
    charge_points=(),
    open_transaction_ids=(),
    open_alarm_ids=(),
    access_version=0,
    registry_version=0,
)


async def test_a_station_with_a_new_disk_is_sent_what_it_lacks(
    worker: Worker, link: TestStation, hq: Hq
) -> None:
    made = (await hq.put("protection", DOCUMENT, seen=0)).json()
    assert (await hq.put("pins", {"pins": [{"name": "王", "role": "chief"}]})).is_success
    for kind in (PublishProtection, PublishPins):
        await settle(link, (await next_command(link, kind))[0])
    await activated(link, 1, made["sha256"])
    await activated(link, 0, "0" * 64)
    command_id, command = await next_command(link, PublishProtection)
    assert command.version == 1
    await link.committed(await link.send(Lane.STATE, EMPTY))
    assert (await next_command(link, PublishPins))[1].version == 1
    await settle(link, command_id)
    await activated(link, 1, made["sha256"])
    assert (await hq.get("protection"))["in_force"] is True


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"zones": [{"name": ""}]}, "zones[0].name"),
        ({"devices": [{"name": "x"}]}, "devices[0]"),
        ({"zonen": []}, "zonen"),
        ({"outputs": [{"name": "h", "kind": "siren", "device": "none"}]}, "outputs[0].device"),
        ({"rules": [{"kind": "magic"}]}, "rules[0].kind"),
    ],
)
async def test_a_wrong_document_is_refused_with_the_path(
    hq: Hq, change: dict[str, Any], path: str
) -> None:
    answer = await hq.put("protection", change, seen=0)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.json()["code"], answer.json()["field"]) == ("invalid_protection", path)
    assert (await hq.get("protection/versions")) == []


async def test_nobody_writes_over_what_they_have_not_seen(hq: Hq) -> None:
    blind = await hq.put("protection", DOCUMENT)
    assert (blind.status_code, blind.json()["code"]) == (428, "if_match_required")
    both = await asyncio.gather(*(hq.put("protection", DOCUMENT, seen=0) for _ in range(4)))
    assert sorted(answer.status_code for answer in both) == [200, 412, 412, 412]
    stale = await hq.put("protection", DOCUMENT, seen=0)
    assert (stale.status_code, stale.json()["version"]) == (412, 1)
    garbage = await hq.client.put(
        f"{hq.root}/protection", content=b"{", headers=hq.who | {"If-Match": '"1"'}
    )
    assert garbage.status_code == 422
    large = await hq.client.put(
        f"{hq.root}/protection", content=b" " * 600_000, headers=hq.who | {"If-Match": '"1"'}
    )
    assert large.status_code == 413


async def test_bindings_name_what_there_is(hq: Hq) -> None:
    assert (await hq.put("protection", DOCUMENT, seen=0)).is_success
    good = [
        {"kind": "camera", "name": "cam-1", "target": f"charge_point:{NUMBER}"},
        {"kind": "siren", "name": "horn", "target": "zone:A"},
        {"kind": "screen", "name": "hall", "target": "station"},
    ]
    answer = await hq.put("bindings", {"bindings": good}, seen=0)
    assert (answer.status_code, answer.headers["etag"]) == (200, '"1"')
    assert (await hq.get("bindings"))["bindings"] == good
    for wrong, field in (
        ({"kind": "siren", "name": "cam-1", "target": "zone:A"}, "bindings[0].name"),
        ({"kind": "camera", "name": "c", "target": "zone:B"}, "bindings[0].target"),
        ({"kind": "camera", "name": "c", "target": "charge_point:1"}, "bindings[0].target"),
    ):
        refused = await hq.put("bindings", {"bindings": [wrong]}, seen=1)
        assert (refused.status_code, refused.json()["field"]) == (422, field)
    assert (await hq.put("bindings", {"bindings": []}, seen=0)).status_code == 412


async def test_a_pin_is_shown_once_and_travels_as_a_hash(
    worker: Worker, link: TestStation, hq: Hq
) -> None:
    body = {"pins": [{"name": "王", "role": "chief"}, {"name": "li"}]}
    made = {each["name"]: each["pin"] for each in (await hq.put("pins", body)).json()}
    assert all(len(pin) == 6 and pin.isdigit() for pin in made.values())
    command_id, command = await next_command(link, PublishPins)
    hasher = PasswordHash((Argon2Hasher(),))
    assert {(pin.name, pin.role) for pin in command.pins} == {("王", "chief"), ("li", "staff")}
    for pin in command.pins:
        assert pin.hash.startswith("$argon2id$")
        assert hasher.verify(made[pin.name], pin.hash)
    await settle(link, command_id)
    listed = await hq.get("pins")
    assert [each["pin"] for each in listed] == [None, None]
    # Who stays keeps the PIN; who is left out loses it; the audit knows no PIN.
    again = await hq.put("pins", {"pins": [{"name": "li", "renew": True}]})
    [li] = again.json()
    assert li["pin"] != made["li"]
    assert [pin.name for pin in (await next_command(link, PublishPins))[1].pins] == ["li"]
    audit = (await hq.client.get("/api/v1/audit", headers=hq.who)).text
    assert not any(pin in audit for pin in (*made.values(), li["pin"]))
    twice = await hq.put("pins", {"pins": [{"name": "li"}, {"name": "li"}]})
    assert twice.status_code == 422


async def test_an_instruction_is_followed_until_somebody_has_read_it(
    worker: Worker, link: TestStation, hq: Hq, log_in: LogIn
) -> None:
    text = {"text_zh": "请关闭3号车位", "text_en": "Close bay 3"}
    made = await hq.post("instructions", text)
    assert made.status_code == 201
    command_id, command = await next_command(link, Instruct)
    assert (command.text_zh, str(command.instruction_id)) == (text["text_zh"], made.json()["id"])
    [waiting] = (await hq.get("instructions"))["items"]
    assert (waiting["outcome"], waiting["acknowledged_at"]) == (None, None)
    await settle(link, command_id)
    for name in ("王", "li"):
        read = InstructionAcknowledged(
            occurred_at=NOW, instruction_id=command.instruction_id, by=name
        )
        await link.committed(await link.send(Lane.ALARM, read))
    [done] = (await hq.get("instructions"))["items"]
    assert (done["outcome"], done["acknowledged_by"]) == ("done", "王")


async def test_what_is_built_in_can_be_read(hq: Hq) -> None:
    answer = await hq.client.get("/api/v1/protection/built-in", headers=hq.who)
    body = answer.json()
    assert len(body["rules"]) == len(BUILT_IN_RULES)
    assert any(row["cause"] == "smoke" for row in body["interlocks"])
    assert {"kind", "rule_id", "code"} <= body["rules"][0].keys()


async def test_only_admins_change_protection(
    client: httpx.AsyncClient, log_in: LogIn, station: Station
) -> None:
    dispatcher = await log_in(Role.DISPATCHER)
    for path in ("protection", "bindings", "pins"):
        url = f"/api/v1/stations/{station.station_no}/{path}"
        assert (await client.put(url, json={}, headers=dispatcher)).status_code == 403
    viewer = await log_in(Role.VIEWER)
    url = f"/api/v1/stations/{station.station_no}/instructions"
    assert (await client.post(url, json={}, headers=viewer)).status_code == 403
