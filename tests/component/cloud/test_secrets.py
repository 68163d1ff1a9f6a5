"""What is secret stays out of the log, whatever fails."""

from __future__ import annotations

import logging

import asyncpg
import httpx
import pytest

from cloud.core.security import Role
from cloud.stations.models import Station
from tests.component.cloud.conftest import LogIn

NUMBER = "55031412782305"


async def test_a_failing_database_does_not_log_the_values_it_was_given(
    client: httpx.AsyncClient,
    log_in: LogIn,
    station: Station,
    database: asyncpg.Connection,
    caplog: pytest.LogCaptureFixture,
) -> None:
    who = await log_in(Role.ADMIN)
    root = f"/api/v1/stations/{station.station_no}/charge-points"
    made = await client.post(root, json={"charge_point_no": NUMBER}, headers=who)
    assert made.status_code == 201, made.text
    await database.execute("ALTER TABLE core_command RENAME COLUMN answer TO gone")
    body = {"power_kw": 120, "host": "10.0.0.9", "path": "fw.bin", "password": "hush"}
    with caplog.at_level(logging.DEBUG):
        answer = await client.post(
            f"{root}/{NUMBER}/firmware", json=body, headers=who | {"Idempotency-Key": "1"}
        )
    assert answer.status_code == 500
    assert "core_command" in caplog.text  # which statement failed is said
    assert "hush" not in caplog.text + answer.text
