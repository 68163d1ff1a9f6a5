"""What is going on now: values once, and as a stream while somebody looks."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from cloud.core.db import Sessions
from cloud.core.security import Role
from cloud.web.streams import VIEWERS_MAX
from cloud.worker import Worker
from ops.embedded import EmbeddedServers
from shared.contracts.commands import Watch
from shared.contracts.events import ConnectorStatusChanged
from shared.contracts.live import LiveConnector, LiveUpdate, encode_live
from shared.contracts.topics import Lane, up
from shared.contracts.words import ConnectorStatus
from tests.component.cloud.conftest import (
    NOW,
    LogIn,
    TestStation,
    make_station,
    meter,
    open_station,
)
from tests.component.cloud.test_ingest import adopted

NUMBER = "55031412782305"


@pytest.fixture
async def address(api: FastAPI) -> AsyncIterator[str]:
    config = uvicorn.Config(api, port=0, lifespan="off", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(20):
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = server.force_exit = True
    await serving


async def send_live(link: TestStation, power_w: int) -> None:
    at_ms = time.time_ns() // 1_000_000
    connector = LiveConnector(NUMBER, 1, ConnectorStatus.CHARGING, 200, power_w=power_w)
    update = LiveUpdate(link.station_no, at_ms, False, (connector,))
    await link.client.publish(up(link.station_no, Lane.LIVE), encode_live(update), qos=0)


def changed(status: ConnectorStatus) -> ConnectorStatusChanged:
    return ConnectorStatusChanged(
        occurred_at=NOW,
        charge_point_no=NUMBER,
        connector_no=1,
        status=status,
        plugged_in=True,
        faults=0,
        transaction_id=None,
    )


async def test_values_come_from_telemetry_and_are_overtaken_by_the_live_lane(
    worker: Worker, link: TestStation, client: httpx.AsyncClient, log_in: LogIn
) -> None:
    viewer = await log_in(Role.VIEWER)
    url = f"/api/v1/live/stations/{link.station_no}"
    at_ms = time.time_ns() // 1_000_000
    await link.committed(await link.send(Lane.STATE, adopted(NUMBER, 1)))
    await link.committed(await link.send(Lane.STATE, changed(ConnectorStatus.CHARGING)))
    await link.committed(
        await link.send_samples([meter(NUMBER, at_ms - 9000, 1), meter(NUMBER, at_ms - 5000, 777)])
    )

    async def read() -> dict[str, object]:
        [connector] = (await client.get(url, headers=viewer)).json()["connectors"]
        return dict(connector)

    async with asyncio.timeout(20):
        while "energy_dwh" not in (values := await read()):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert (values["energy_dwh"], values["values_at_ms"]) == (777, at_ms - 5000)
    await send_live(link, 60_000)
    async with asyncio.timeout(20):
        while (values := await read()).get("power_w") != 60_000:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert values["power_w"] == 60_000
    await link.committed(await link.send(Lane.STATE, changed(ConnectorStatus.FINISHED)))
    values = await read()
    assert values["status"] == "finished"
    assert "power_w" not in values


async def test_looking_asks_the_station_for_values_and_a_break_misses_nothing(
    worker: Worker, link: TestStation, address: str, client: httpx.AsyncClient, log_in: LogIn
) -> None:
    viewer = await log_in(Role.VIEWER)
    url = f"{address}/api/v1/live/stream?station={link.station_no}"
    async with httpx.AsyncClient(headers=viewer, timeout=10) as browser:
        async with browser.stream("GET", url) as stream:
            lines = stream.aiter_lines()
            async with asyncio.timeout(20):
                _, command = await link.commands.get()
            assert isinstance(command, Watch)
            await send_live(link, 1)
            first_id, first = await next_update(lines)
        await send_live(link, 2)
        await link.committed(await link.send_samples([]))
        async with browser.stream("GET", url, headers={"Last-Event-ID": first_id}) as stream:
            _, second = await next_update(stream.aiter_lines())
    assert (first["connectors"][0]["power_w"], second["connectors"][0]["power_w"]) == (1, 2)


async def next_update(lines: AsyncIterator[str]) -> tuple[str, dict[str, list[dict[str, int]]]]:
    event_id = kind = ""
    async with asyncio.timeout(8):
        async for line in lines:
            if line.startswith("event: "):
                kind = line[7:]
            if line.startswith("id: "):
                event_id = line[4:]
            if line.startswith("data: ") and kind == "live":
                return event_id, json.loads(line[6:])
    raise AssertionError("the stream ended")


async def test_one_stream_carries_several_stations_and_goes_on_in_each(
    worker: Worker,
    servers: EmbeddedServers,
    sessions: Sessions,
    link: TestStation,
    address: str,
    log_in: LogIn,
) -> None:
    viewer = await log_in(Role.VIEWER)
    second = await make_station(sessions, "S-second")
    url = f"{address}/api/v1/live/stream?station={link.station_no}&station={second.station_no}"
    async with (
        open_station(servers, second.station_no) as other,
        httpx.AsyncClient(headers=viewer, timeout=10) as browser,
    ):
        async with browser.stream("GET", url) as stream:
            lines = stream.aiter_lines()
            async with asyncio.timeout(20):
                await asyncio.gather(link.commands.get(), other.commands.get())
            await send_live(link, 1)
            await next_update(lines)
            await send_live(other, 2)
            last_id, seen = await next_update(lines)
        assert seen["station_no"] == second.station_no
        await send_live(other, 4)
        await send_live(link, 3)
        async with browser.stream("GET", url, headers={"Last-Event-ID": last_id}) as stream:
            lines = stream.aiter_lines()
            missed = [(await next_update(lines))[1] for _ in range(2)]
        assert {update["connectors"][0]["power_w"] for update in missed} == {3, 4}


async def test_many_who_come_at_once_are_not_let_in_together(
    link: TestStation, api: FastAPI, address: str, log_in: LogIn
) -> None:
    url = f"{address}/api/v1/live/stream?station={link.station_no}"
    api.state.viewers = VIEWERS_MAX - 1
    async with httpx.AsyncClient(headers=await log_in(Role.VIEWER), timeout=10) as browser:
        wishes = [browser.build_request("GET", url) for _ in range(3)]
        answers = await asyncio.gather(*(browser.send(wish, stream=True) for wish in wishes))
        assert sorted(answer.status_code for answer in answers) == [200, 503, 503]
        assert api.state.viewers == VIEWERS_MAX
        for answer in answers:
            await answer.aclose()
    async with asyncio.timeout(10):
        while api.state.viewers >= VIEWERS_MAX:  # noqa: ASYNC110 - a server has no event for it
            await asyncio.sleep(0.01)
