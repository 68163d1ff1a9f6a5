"""Alarms over HTTP: lists, CSV, what people do about them, and the stream to browsers."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from cloud.core.db import Sessions
from cloud.core.security import Role
from cloud.protection.service import publish
from cloud.stations.models import Station
from cloud.worker import Worker
from shared.contracts.commands import AcknowledgeAlarm, ShelveAlarm
from shared.contracts.events import AlarmAcknowledged, AlarmCleared, AlarmRaised
from shared.contracts.topics import Lane
from shared.contracts.words import Severity
from tests.component.cloud.conftest import NOW, LogIn, TestStation


@pytest.fixture
async def address(api: FastAPI) -> AsyncIterator[str]:
    config = uvicorn.Config(api, port=0, lifespan="off", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(20):
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        await api.state.alarm_feed.listening.wait()
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = server.force_exit = True
    await serving


CABINET = {
    "devices": [
        {
            "name": "cabinet",
            "line": "field",
            "profile": "generic-dry-contacts-1",
            "unit_id": 1,
            "title_zh": "配电柜",
        }
    ]
}


def raised(alarm_id: UUID, **changes: Any) -> AlarmRaised:
    fields: dict[str, Any] = {
        "occurred_at": NOW,
        "alarm_id": alarm_id,
        "code": "door_open",
        "severity": Severity.MINOR,
        "object": "sensor:cabinet",
    }
    return AlarmRaised(**(fields | changes))


async def test_people_work_through_a_list_and_the_station_hears_of_it(
    worker: Worker,
    link: TestStation,
    client: httpx.AsyncClient,
    log_in: LogIn,
    sessions: Sessions,
    station: Station,
) -> None:
    who = await log_in(Role.DISPATCHER)
    door, smoke = uuid4(), uuid4()
    await link.committed(
        await link.send(
            Lane.ALARM,
            raised(door),
            raised(smoke, code="smoke", severity=Severity.CRITICAL, object="=zone:A"),
        )
    )

    async def listed(query: str) -> list[dict[str, Any]]:
        answer = await client.get(f"/api/v1/alarms?{query}", headers=who)
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    [alarm] = await listed(f"station={link.station_no}&severity=minor&severity=info")
    path = f"/api/v1/alarms/{alarm['id']}"
    until = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    body = {"until": until, "reason": "the lock is being changed"}
    shelved = await client.post(f"{path}/shelve", json=body, headers=who)
    assert (shelved.status_code, shelved.json()["shelved_reason"]) == (200, body["reason"])
    [critical] = await listed("code=smoke")
    refused = await client.post(f"/api/v1/alarms/{critical['id']}/shelve", json=body, headers=who)
    assert (refused.status_code, refused.json()["code"]) == (409, "alarm_critical")
    seen = await client.post(f"{path}/acknowledge", headers=who)
    assert seen.json()["acknowledged_by"]
    told = [(await link.commands.get())[1] for _ in range(2)]
    assert {type(command) for command in told} == {ShelveAlarm, AcknowledgeAlarm}
    assert {command.alarm_id for command in told} == {door}  # type: ignore[attr-defined]

    assert [each["code"] for each in await listed("view=shelved")] == ["door_open"]
    assert [each["code"] for each in await listed("view=unseen")] == ["smoke"]
    history = (await client.get(f"{path}/history", headers=who)).json()
    assert {(each["step"], each["source"]) for each in history} == {
        ("raised", "station"),
        ("shelved", "hq"),
        ("acknowledged", "hq"),
    }
    groups = (await client.get("/api/v1/alarms/groups", headers=who)).json()
    assert [(each["code"], each["station_no"]) for each in groups] == [
        ("smoke", link.station_no),
        ("door_open", link.station_no),
    ]
    async with sessions() as session, session.begin():
        await publish(
            session,
            operator_id=station.operator_id,
            station_id=station.id,
            document=CABINET,
            expected=0,
            by="li",
            now=NOW,
        )
    exported = await client.get(
        "/api/v1/alarms/export?view=all", headers=who | {"Accept-Language": "zh"}
    )
    assert exported.content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(exported.content.decode("utf-8-sig"))))
    assert [(row["code"], row["title"], row["object"]) for row in rows if row["code"] == "smoke"]
    assert {row["object"] for row in rows} == {"sensor:cabinet", "'=zone:A"}
    assert {(row["station"], row["place"]) for row in rows} == {
        ("站", "配电柜"),
        ("站", "'=zone A"),
    }
    assert {row["raised_at"] for row in rows} == {"2026-11-22T14:00:00+08:00"}

    audit = (await client.get("/api/v1/audit", headers=await log_in(Role.ADMIN))).json()["items"]
    [entry] = [each for each in audit if each["path"].endswith("/shelve")]
    assert entry["details"] == {
        "after.until": body["until"].replace("Z", "+00:00"),
        "after.reason": body["reason"],
    }


async def test_what_comes_again_after_the_clock_was_set_back_is_open(
    worker: Worker, link: TestStation, client: httpx.AsyncClient, log_in: LogIn
) -> None:
    """A station that starts with a clock that runs ahead tells of it all in one batch."""
    who = await log_in(Role.VIEWER)
    first, again = uuid4(), uuid4()
    fire = {"code": "smoke", "severity": Severity.CRITICAL, "object": "zone:A"}
    end: dict[str, Any] = {"alarm_id": first, "code": "smoke", "object": "zone:A"}
    await link.committed(
        await link.send(
            Lane.ALARM,
            raised(first, occurred_at=NOW + timedelta(minutes=1), **fire),
            AlarmCleared(occurred_at=NOW + timedelta(minutes=2), **end),
            raised(again, occurred_at=NOW, **fire),
        )
    )
    answer = await client.get("/api/v1/alarms?code=smoke", headers=who)
    assert [each["cleared_at"] for each in answer.json()["items"]] == [None]


async def test_what_grew_after_the_clock_was_set_back_is_as_bad_as_it_is(
    worker: Worker, link: TestStation, client: httpx.AsyncClient, log_in: LogIn
) -> None:
    who = await log_in(Role.VIEWER)
    await link.committed(
        await link.send(
            Lane.ALARM,
            raised(uuid4(), occurred_at=NOW + timedelta(minutes=1)),
            raised(uuid4(), occurred_at=NOW, severity=Severity.CRITICAL),
        )
    )
    answer = await client.get("/api/v1/alarms?code=door_open", headers=who)
    assert [each["severity"] for each in answer.json()["items"]] == ["critical"]


async def test_whoever_only_looks_changes_nothing(
    worker: Worker, link: TestStation, client: httpx.AsyncClient, log_in: LogIn
) -> None:
    viewer = await log_in(Role.VIEWER)
    await link.committed(await link.send(Lane.ALARM, raised(uuid4())))
    [alarm] = (await client.get("/api/v1/alarms", headers=viewer)).json()["items"]
    for what in ("acknowledge", "unshelve", "shelve"):
        answer = await client.post(f"/api/v1/alarms/{alarm['id']}/{what}", headers=viewer)
        assert answer.status_code == 403, what


async def test_a_browser_sees_an_alarm_within_a_second_and_a_break_misses_nothing(
    worker: Worker, link: TestStation, address: str, client: httpx.AsyncClient, log_in: LogIn
) -> None:
    viewer = await log_in(Role.VIEWER)
    url = f"{address}/api/v1/alarms/stream"
    alarm_id = uuid4()
    async with httpx.AsyncClient(headers=viewer, timeout=10) as browser:
        async with browser.stream("GET", url) as stream:
            lines = stream.aiter_lines()
            assert await anext(lines) == ": open"
            sent_s = time.monotonic()
            await link.send(Lane.ALARM, raised(alarm_id))
            first_id, first = await next_alarm(lines)
            took_s = time.monotonic() - sent_s
            assert took_s < 1.0, f"{took_s} s"
            assert (first["moment"]["step"], first["alarm"]["code"]) == ("raised", "door_open")
        on_site = AlarmAcknowledged(occurred_at=NOW, alarm_id=alarm_id, by="王")
        over = AlarmCleared(
            occurred_at=NOW, alarm_id=alarm_id, code="door_open", object="sensor:cabinet"
        )
        await link.committed(await link.send(Lane.ALARM, on_site, over))
        async with browser.stream("GET", url, headers={"Last-Event-ID": first_id}) as stream:
            lines = stream.aiter_lines()
            missed = [await next_alarm(lines) for _ in range(2)]
    assert {data["moment"]["step"] for _, data in missed} == {"acknowledged", "cleared"}
    assert missed[0][1]["alarm"]["acknowledged_by"] == "王"


async def test_another_companys_alarms_are_not_seen(
    worker: Worker, link: TestStation, station: Station, api: FastAPI
) -> None:
    async with asyncio.timeout(20):
        await api.state.alarm_feed.listening.wait()
    feed = api.state.alarm_feed
    with feed.viewer(station.operator_id) as ours, feed.viewer(uuid4()) as theirs:
        await link.committed(await link.send(Lane.ALARM, raised(uuid4())))
        async with asyncio.timeout(20):
            moment, _ = await ours.get()
        assert moment.operator_id == station.operator_id
        assert theirs.empty()


async def next_alarm(lines: AsyncIterator[str]) -> tuple[str, dict[str, Any]]:
    event_id = kind = ""
    async with asyncio.timeout(8):
        async for line in lines:
            if line.startswith("id: "):
                event_id = line[4:]
            elif line.startswith("event: "):
                kind = line[7:]
            elif line.startswith("data: ") and kind == "alarm":
                return event_id, json.loads(line[6:])
    raise AssertionError("the stream ended")
