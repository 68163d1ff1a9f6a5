"""Whatever value a caller sends, it is the caller's mistake and never a 5xx."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from fastapi import FastAPI

from cloud.core.security import Role
from tests.component.cloud.conftest import LogIn

BAD = (
    "a\x00b",
    "\x1b[2J",
    "99999999999999999999",
    "-99999999999999999999",
    "99999999999999",
    "0001-01-01",
    "9999-12-31",
    "0001-01-01T00:00:00+08:00",
    "9999-12-31T23:59:59-08:00",
    "00000000-0000-0000-0000-000000000000",
    "x" * 5_000,
)
FITTING = {"limit": "5", "version": "1", "before": "1", "after": "1", "station_no": "S-1"}


def calls(api: FastAPI) -> Iterator[str]:
    """Yield the address of every read, once for each of its parameters and bad values."""
    for path, methods in api.openapi()["paths"].items():
        if "get" not in methods or path == "/api/v1/live/stream":
            continue
        parameters = [p for p in methods["get"].get("parameters", []) if p["in"] != "header"]
        for parameter in parameters:
            for bad in BAD:
                yield address(path, parameters, parameter["name"], bad)


def address(path: str, parameters: list[dict[str, Any]], name: str, bad: str) -> str:
    query = {}
    for each in parameters:
        value = bad if each["name"] == name else FITTING.get(each["name"], "x")
        if each["in"] == "path":
            path = path.replace(f"{{{each['name']}}}", quote(value, safe=""))
        elif each["name"] == name or each.get("required"):
            query[each["name"]] = value
    return str(httpx.URL(path, params=query))


@pytest.mark.timeout(240)
async def test_no_parameter_is_a_way_to_a_5xx(
    api: FastAPI, client: httpx.AsyncClient, log_in: LogIn
) -> None:
    headers = await log_in(Role.ADMIN)
    broken = []
    seen = 0
    for url in calls(api):
        answer = await client.get(url, headers=headers)
        seen += 1
        if answer.status_code >= 500:
            broken.append((answer.status_code, url[:120]))
    assert seen > 300
    assert broken == []


BODIES: list[tuple[str, dict[str, Any]]] = [
    ("tokens", {"kind": "account", "value": "a", "holder": "a\x00b"}),
    ("tokens", {"kind": "account", "value": "b", "holder": "\ud800"}),
    ("tokens", {"kind": "account", "value": "c", "expires_at": "0001-01-01T00:00:00+08:00"}),
    ("tokens", {"kind": "account", "value": "d", "station_nos": ["\x00"]}),
    ("api-keys", {"name": "a\x00", "role": "viewer"}),
    ("stations", {"station_no": "S-9", "name_zh": "\x00", "name_en": "x"}),
    ("orders", {"station_no": "\x00", "charge_point_no": "1", "connector_no": 1}),
]


async def test_no_body_is_a_way_to_a_5xx(client: httpx.AsyncClient, log_in: LogIn) -> None:
    headers = await log_in(Role.ADMIN)
    answers = []
    for number, (path, body) in enumerate(BODIES):
        answers.append(
            await client.post(
                f"/api/v1/{path}",
                content=json.dumps(body),
                headers=headers
                | {"Idempotency-Key": str(number), "Content-Type": "application/json"},
            )
        )
    assert [a.status_code for a in answers if a.status_code >= 500 or a.is_success] == []


async def test_neither_is_the_log_in(client: httpx.AsyncClient) -> None:
    form = {"username": "a\x00b", "password": "c\x00d"}
    assert (await client.post("/api/v1/auth/token", data=form)).status_code in {401, 422}
    assert (await client.post("/login", data=form)).status_code < 500
