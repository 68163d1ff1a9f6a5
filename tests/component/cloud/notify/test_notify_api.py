"""Channels and rules over HTTP, with a worker that really sends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from cloud.core.security import Role
from cloud.settings import Settings, load
from cloud.worker import Worker
from shared.contracts.events import AlarmRaised
from shared.contracts.topics import Lane
from shared.contracts.words import Severity
from shared.ids import uuid7
from tests.component.cloud.conftest import NOW, LogIn, TestStation, running_worker, until
from tests.component.cloud.notify.servers import HttpReceiver, http_receiver

ROOT = "/api/v1/notifications"


@pytest.fixture
def settings(hq_config: Path) -> Settings:
    with hq_config.open("a") as file:
        file.write('[notify]\nallowed_networks = ["127.0.0.1/32"]\n')
    return load(hq_config)


@pytest.fixture
async def receiver() -> AsyncIterator[HttpReceiver]:
    async with http_receiver() as receiver:
        yield receiver


@pytest.fixture
async def sending(settings: Settings) -> AsyncIterator[Worker]:
    async with running_worker(settings) as worker:
        yield worker


async def test_a_channel_is_made_tested_used_and_never_tells_its_secret_again(
    sending: Worker,
    link: TestStation,
    client: httpx.AsyncClient,
    log_in: LogIn,
    receiver: HttpReceiver,
) -> None:
    admin = await log_in(Role.ADMIN)
    body = {"name": "duty", "kind": "webhook", "target": receiver.url, "language": "en"}
    made = (await client.post(f"{ROOT}/channels", json=body, headers=admin)).json()
    assert made["secret"].startswith("whsec_")
    taken = await client.post(f"{ROOT}/channels", json=body, headers=admin)
    assert (taken.status_code, taken.json()["code"]) == (409, "name_taken")
    tested = await client.post(f"{ROOT}/channels/{made['id']}/test", headers=admin)
    assert (tested.status_code, tested.json()["state"]) == (202, "waiting")
    assert [each.kind for each in await receiver.got(1)] == ["test"]

    rule = {
        "name": "all",
        "severity": "minor",
        "stations": [link.station_no],
        "chain": [{"after_min": 0, "channel_id": made["id"]}],
    }
    answer = await client.post(f"{ROOT}/rules", json=rule, headers=admin)
    assert (answer.status_code, answer.json()["stations"]) == (201, [link.station_no])
    alarm = AlarmRaised(
        occurred_at=NOW,
        alarm_id=uuid7(1),
        code="smoke",
        severity=Severity.CRITICAL,
        object="zone:A",
    )
    await link.committed(await link.send(Lane.ALARM, alarm))
    assert (await receiver.got(2))[1].codes == ["smoke"]

    async def both_sent() -> bool:
        page = await client.get(f"{ROOT}/deliveries?state=sent", headers=admin)
        return len(page.json()["items"]) == 2

    await until(both_sent)
    used = await client.delete(f"{ROOT}/channels/{made['id']}", headers=admin)
    assert (used.status_code, used.json()["code"]) == (409, "channel_in_use")
    rule_path = f"{ROOT}/rules/{answer.json()['id']}"
    changed = await client.put(rule_path, json=rule | {"repeat_min": 15}, headers=admin)
    assert changed.json()["repeat_min"] == 15
    assert (await client.delete(rule_path, headers=admin)).status_code == 204

    paths = ("channels", "rules", "deliveries", f"deliveries/{tested.json()['id']}")
    audit = (await client.get("/api/v1/audit", headers=admin)).text
    for text in [audit, *[(await client.get(f"{ROOT}/{p}", headers=admin)).text for p in paths]]:
        assert made["secret"] not in text
    assert '"before.repeat_min":"0","after.repeat_min":"15"' in audit.replace(" ", "") or (
        '"after.repeat_min":"15"' in audit.replace(" ", "")
    )
    gone = await client.delete(f"{ROOT}/channels/{made['id']}", headers=admin)
    assert gone.status_code == 204


@pytest.mark.parametrize(
    ("kind", "target", "code"),
    [
        ("webhook", "ftp://example.com", "forbidden_address"),
        ("webhook", "https://u:p@example.com", "forbidden_address"),
        ("webhook", "http://127.0.0.2:18999/x", "forbidden_address"),
        ("webhook", "http://1.1.1.1/x", "forbidden_address"),
        ("webhook", "http://nobody.invalid/x", "forbidden_address"),
        ("webhook", "https://10.1.2.3/x", "forbidden_address"),
        ("webhook", "https://[::1]/x", "forbidden_address"),
        ("email", "night@example.com\nBcc: x@example.com", "invalid_channel"),
        ("email", "a@b.com,c@d.com", "invalid_channel"),
        ("email", "nobody", "invalid_channel"),
        ("log", "x", "invalid_channel"),
    ],
)
async def test_targets_that_cannot_be_are_refused(
    client: httpx.AsyncClient, log_in: LogIn, kind: str, target: str, code: str
) -> None:
    body = {"name": "x", "kind": kind, "target": target}
    answer = await client.post(f"{ROOT}/channels", json=body, headers=await log_in(Role.ADMIN))
    assert (answer.status_code, answer.json()["code"]) == (422, code)


async def test_a_channel_is_not_turned_to_where_notices_may_not_go(
    client: httpx.AsyncClient, log_in: LogIn
) -> None:
    admin = await log_in(Role.ADMIN)
    target = "https://nobody.invalid/x"  # a receiver may be made after its channel
    body = {"name": "duty", "kind": "webhook", "target": target}
    made = (await client.post(f"{ROOT}/channels", json=body, headers=admin)).json()
    path = f"{ROOT}/channels/{made['id']}"
    refused = await client.patch(path, json={"target": "http://10.1.2.3/x"}, headers=admin)
    assert (refused.status_code, refused.json()["code"]) == (422, "forbidden_address")
    assert "notify.allowed_networks" in refused.json()["detail"]
    assert (await client.get(f"{ROOT}/channels", headers=admin)).json()[0]["target"] == target
    allowed = await client.patch(path, json={"target": "http://127.0.0.1:9/x"}, headers=admin)
    assert allowed.status_code == 200


async def test_only_admins_say_who_is_told(client: httpx.AsyncClient, log_in: LogIn) -> None:
    dispatcher = await log_in(Role.DISPATCHER)
    assert (await client.get(f"{ROOT}/channels", headers=dispatcher)).status_code == 403
    assert (await client.post(f"{ROOT}/channels", headers=dispatcher)).status_code == 403
    assert (await client.get(f"{ROOT}/deliveries", headers=dispatcher)).status_code == 200
