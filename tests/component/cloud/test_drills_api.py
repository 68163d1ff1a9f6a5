"""Drills over HTTP: asked for by whoever may, once at a time, and told to the station."""

from __future__ import annotations

import httpx
from fastapi import FastAPI

from cloud.core.security import Role
from cloud.stations.models import Station
from cloud.worker import Worker
from shared.contracts.commands import StartDrill
from shared.contracts.words import Outcome
from tests.component.cloud.conftest import LogIn, TestStation


async def test_a_drill_is_asked_for_once_at_a_time(
    api: FastAPI,
    client: httpx.AsyncClient,
    worker: Worker,
    link: TestStation,
    station: Station,
    log_in: LogIn,
) -> None:
    path = f"/api/v1/stations/{station.station_no}/drills"
    assert (await client.post(path, headers=await log_in(Role.VIEWER))).status_code == 403
    headers = await log_in(Role.DISPATCHER)
    asked = await client.post(path, headers=headers)
    assert asked.status_code == 202
    command_id, command = await link.commands.get()
    assert str(command_id) == asked.json()["command_id"]
    assert isinstance(command, StartDrill)
    again = await client.post(path, headers=headers)
    assert (again.status_code, again.json()["code"]) == (409, "drill_asked")
    await link.committed(await link.settle(command_id, Outcome.REJECTED))
    assert (await client.post(path, headers=headers)).status_code == 202
    nowhere = await client.post("/api/v1/stations/nowhere/drills", headers=headers)
    assert nowhere.status_code == 404
