"""Who may do what: every route against every role, log-in, keys, limits, the audit trail."""

from __future__ import annotations

import asyncio
import re
from uuid import uuid4

import asyncpg
import httpx
import pytest
from fastapi import APIRouter, FastAPI
from redis.asyncio import Redis

from cloud.app import PUBLIC, all_routes, check_permissions, permission_of
from cloud.core.security import MATRIX, Role
from cloud.identity.limits import LoginLimit
from tests.component.cloud.conftest import PASSWORD, LogIn

ENDS_A_LOG_IN = "/api/v1/auth/session"


async def test_every_route_lets_in_exactly_the_roles_of_the_matrix(
    api: FastAPI, client: httpx.AsyncClient, log_in: LogIn
) -> None:
    headers: dict[Role | None, dict[str, str]] = {role: await log_in(role) for role in Role}
    headers[None] = {}
    tried = 0
    for route in all_routes(api):
        if route.path in {*PUBLIC, ENDS_A_LOG_IN} or "stream" in route.path:
            continue
        required = permission_of(route)
        assert required is not None, f"{route.path} declares no permission"
        # Numbers that nobody has: whoever is let in finds nothing, and nothing is changed.
        path = re.sub(r"\{[^}]*id[^}]*\}", str(uuid4()), str(route.path))
        path = re.sub(r"\{[^}]*\}", "NOBODY", path)
        for method in route.methods or ():
            for role, header in headers.items():
                answer = await client.request(method, path, headers=header)
                case = f"{method} {path} as {role}: {answer.status_code}"
                if role is None:
                    assert answer.status_code == 401, case
                elif role in MATRIX[required.permission]:
                    assert answer.status_code not in (401, 403, 500), f"{case} {answer.text}"
                else:
                    assert answer.status_code == 403, case
                tried += 1
    assert tried > 40


async def nothing() -> dict[str, str]:
    return {}


def test_a_route_that_forgets_its_permission_stops_the_start() -> None:
    router = APIRouter(prefix="/api/v1")
    router.add_api_route("/secrets", nothing, methods=["GET"])
    app = FastAPI()
    app.include_router(router)
    with pytest.raises(RuntimeError, match="/api/v1/secrets"):
        check_permissions(app)


async def test_wrong_log_ins_are_logged_without_the_password(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    form = {"username": "eve\nlog-in granted", "password": "a secret of mine"}
    assert (await client.post("/api/v1/auth/token", data=form)).status_code == 401
    [line] = [each for each in caplog.messages if "log-in refused" in each]
    assert "name='eve\\nlog-in granted'" in line
    assert "reason=unauthorized" in line
    assert form["password"] not in caplog.text


async def test_wrong_log_ins_say_nothing_and_are_limited(
    client: httpx.AsyncClient, log_in: LogIn
) -> None:
    await log_in(Role.VIEWER)
    answers = [
        await client.post("/api/v1/auth/token", data={"username": "nobody", "password": "x" * 20})
        for _ in range(11)
    ]
    assert {answer.status_code for answer in answers[:10]} == {401}
    assert answers[10].status_code == 429
    assert int(answers[10].headers["retry-after"]) > 0
    assert answers[0].json()["code"] == "unauthorized"


async def test_many_wrong_log_ins_at_once_are_no_way_around_the_limit(
    client: httpx.AsyncClient, log_in: LogIn
) -> None:
    await log_in(Role.VIEWER)
    form = {"username": "nobody", "password": "x" * 20}
    answers = await asyncio.gather(
        *(client.post("/api/v1/auth/token", data=form) for _ in range(20))
    )
    codes = [answer.status_code for answer in answers]
    assert (codes.count(401), codes.count(429)) == (10, 10)


async def test_right_log_ins_use_up_nothing(client: httpx.AsyncClient, log_in: LogIn) -> None:
    for _ in range(12):
        assert await log_in(Role.VIEWER)


async def test_without_redis_nobody_logs_in_but_tokens_hold(
    api: FastAPI, client: httpx.AsyncClient, log_in: LogIn
) -> None:
    viewer = await log_in(Role.VIEWER)
    away = Redis.from_url("redis://127.0.0.1:1/0", socket_connect_timeout=0.2)
    api.state.login_limit = LoginLimit(away, per_minute=10)
    answer = await client.post("/api/v1/auth/token", data={"username": "x", "password": PASSWORD})
    assert answer.status_code == 503
    assert (await client.get("/api/v1/auth/me", headers=viewer)).status_code == 200
    await away.aclose()


async def test_a_log_out_ends_its_own_log_in_and_no_other(
    api: FastAPI, client: httpx.AsyncClient, log_in: LogIn, database: asyncpg.Connection
) -> None:
    await log_in(Role.ADMIN)
    name = await database.fetchval("SELECT username FROM identity_staff")
    form = {"username": name, "password": PASSWORD}
    first, second = [
        {"Authorization": f"Bearer {answer.json()['access_token']}"}
        for answer in [await client.post("/api/v1/auth/token", data=form) for _ in range(2)]
    ]
    away = Redis.from_url("redis://127.0.0.1:1/0", socket_connect_timeout=0.2)
    api.state.redis, api.state.login_limit = away, LoginLimit(away, per_minute=10)
    assert (await client.delete(ENDS_A_LOG_IN, headers=first)).status_code == 204
    assert (await client.get("/api/v1/auth/me", headers=first)).status_code == 401
    assert (await client.delete(ENDS_A_LOG_IN, headers=first)).status_code == 401
    assert (await client.get("/api/v1/auth/me", headers=second)).status_code == 200
    await away.aclose()


async def test_a_token_that_is_not_on_the_list_lets_nobody_in(
    client: httpx.AsyncClient, log_in: LogIn, database: asyncpg.Connection
) -> None:
    admin = await log_in(Role.ADMIN)
    await database.execute("DELETE FROM identity_session")
    assert (await client.get("/api/v1/auth/me", headers=admin)).status_code == 401


@pytest.mark.parametrize(
    "change", [{"password": "another horse, another battery"}, {"role": "viewer"}]
)
async def test_a_new_password_or_role_ends_every_log_in(
    client: httpx.AsyncClient, log_in: LogIn, database: asyncpg.Connection, change: dict[str, str]
) -> None:
    admin, dispatcher = await log_in(Role.ADMIN), await log_in(Role.DISPATCHER)
    staff_id = await database.fetchval("SELECT id FROM identity_staff WHERE role = 'dispatcher'")
    changed = await client.patch(f"/api/v1/staff/{staff_id}", json=change, headers=admin)
    assert changed.status_code == 200
    assert (await client.get("/api/v1/auth/me", headers=dispatcher)).status_code == 401
    assert (await client.get("/api/v1/auth/me", headers=admin)).status_code == 200


async def test_log_ins_that_are_over_are_forgotten_and_keys_are_not_logged_out(
    client: httpx.AsyncClient, log_in: LogIn, database: asyncpg.Connection
) -> None:
    admin = await log_in(Role.ADMIN)
    name = await database.fetchval("SELECT username FROM identity_staff")
    await database.execute("UPDATE identity_session SET ends_at = ends_at - interval '2 days'")
    form = {"username": name, "password": PASSWORD}
    made = (await client.post("/api/v1/auth/token", data=form)).json()["access_token"]
    assert await database.fetchval("SELECT count(*) FROM identity_session") == 1
    assert (await client.get("/api/v1/auth/me", headers=admin)).status_code == 401
    fresh = {"Authorization": f"Bearer {made}"}
    key = {"name": "sap", "role": "viewer"}
    answer = await client.post("/api/v1/api-keys", json=key, headers=fresh)
    own = {"X-API-Key": answer.json()["key"]}
    refused = await client.delete(ENDS_A_LOG_IN, headers=own)
    assert (refused.status_code, refused.json()["code"]) == (409, "no_log_in")


async def test_keys_act_in_their_role_until_revoked_and_changes_are_on_record(
    client: httpx.AsyncClient, log_in: LogIn, database: asyncpg.Connection
) -> None:
    admin = await log_in(Role.ADMIN)
    made = await client.post(
        "/api/v1/api-keys", json={"name": "billing", "role": "viewer"}, headers=admin
    )
    key = {"Authorization": f"Bearer {made.json()['key']}"}
    me = await client.get("/api/v1/auth/me", headers=key)
    assert (me.json()["name"], me.json()["role"]) == ("key:billing", "viewer")
    assert (await client.get("/api/v1/staff", headers=key)).status_code == 403
    await client.delete(f"/api/v1/api-keys/{made.json()['id']}", headers=admin)
    assert (await client.get("/api/v1/auth/me", headers=key)).status_code == 401
    audit = (await client.get("/api/v1/audit?limit=2", headers=admin)).json()
    assert [entry["action"] for entry in audit["items"]] == ["revoke_key", "create_key"]
    rest = await client.get(f"/api/v1/audit?cursor={audit['next_cursor']}", headers=admin)
    assert [entry["action"] for entry in rest.json()["items"]] == ["log_in"]
    assert (await client.get("/api/v1/audit?cursor=zz", headers=admin)).status_code == 400


async def test_a_changed_person_is_out_at_once(client: httpx.AsyncClient, log_in: LogIn) -> None:
    admin, viewer = await log_in(Role.ADMIN), await log_in(Role.VIEWER)
    me = (await client.get("/api/v1/auth/me", headers=viewer)).json()
    changed = await client.patch(f"/api/v1/staff/{me['id']}", json={"active": False}, headers=admin)
    assert changed.json()["active"] is False
    assert (await client.get("/api/v1/auth/me", headers=viewer)).status_code == 401
    forged = {"Authorization": viewer["Authorization"][:-2] + "xx"}
    assert (await client.get("/api/v1/auth/me", headers=forged)).status_code == 401


async def test_the_audit_says_what_was_changed_and_no_secret(
    client: httpx.AsyncClient, log_in: LogIn
) -> None:
    admin = await log_in(Role.ADMIN)
    person = {"username": "chen", "password": "correct horse battery", "role": "viewer"}
    made = (await client.post("/api/v1/staff", json=person, headers=admin)).json()
    change = {"role": "dispatcher", "password": "another horse battery"}
    await client.patch(f"/api/v1/staff/{made['id']}", json=change, headers=admin)
    key = {"name": "sap", "role": "viewer"}
    key_id = (await client.post("/api/v1/api-keys", json=key, headers=admin)).json()["id"]
    await client.delete(f"/api/v1/api-keys/{key_id}", headers=admin)
    card = {"kind": "account", "value": "fleet-1", "password_md5": "0123456789abcdef"}
    once = admin | {"Idempotency-Key": "fleet"}
    token = (await client.post("/api/v1/tokens", json=card, headers=once)).json()
    freeze = {"frozen": True, "limit_fen": 500, "password_md5": ""}
    await client.patch(f"/api/v1/tokens/{token['id']}", json=freeze, headers=admin)
    audit = (await client.get("/api/v1/audit", headers=admin)).json()["items"]
    details = {each["action"]: each["details"] for each in audit}
    assert details["create_staff"] == {"after.username": "chen", "after.role": "viewer"}
    assert details["change_staff"] == {
        "before.username": "chen",
        "before.role": "viewer",
        "after.role": "dispatcher",
        "after.password_changed": "True",
    }
    assert details["revoke_key"] == {
        "before.name": "sap",
        "before.role": "viewer",
        "after.revoked": "True",
    }
    assert details["change_token"] == {
        "before.value": "fleet-1",
        "before.frozen": "False",
        "before.limit_fen": "0",
        "before.has_password": "True",
        "after.frozen": "True",
        "after.limit_fen": "500",
        "after.has_password": "False",
    }
    assert "horse" not in str(audit)
    assert "0123456789abcdef" not in str(audit)


async def test_somebody_stays_who_may_administer(client: httpx.AsyncClient, log_in: LogIn) -> None:
    admin = await log_in(Role.ADMIN)
    me = (await client.get("/api/v1/auth/me", headers=admin)).json()
    for change in ({"active": False}, {"role": "viewer"}):
        kept = await client.patch(f"/api/v1/staff/{me['id']}", json=change, headers=admin)
        assert (kept.status_code, kept.json()["code"]) == (409, "last_admin")
    await log_in(Role.ADMIN)
    gone = await client.patch(f"/api/v1/staff/{me['id']}", json={"active": False}, headers=admin)
    assert gone.json()["active"] is False


async def test_health_description_and_errors_are_plain(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz")).json() == {"status": "ok"}
    ready = await client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json() == {
        "status": "degraded",
        "checks": {
            "database": "ok",
            "migrations": "ok",
            "redis": "ok",
            "broker": "no worker is connected to it",
        },
    }
    versions = (await client.get("/version")).json()
    assert versions["version"]
    assert re.fullmatch(r"[0-9]{4}", versions["database"])
    assert "vw_http_requests_total" in (await client.get("/metrics")).text
    description = (await client.get("/api/v1/openapi.json")).json()
    assert "/api/v1/auth/token" in description["paths"]
    page = (await client.get("/docs")).text
    assert "/api/v1/stations" in page
    assert "http://" not in page.replace("http://hq", "")
    assert "https://" not in page
    missing = await client.get("/api/v1/nothing", headers={"X-Request-ID": "abc-1"})
    assert missing.headers["content-type"] == "application/problem+json"
    assert missing.json()["request_id"] == missing.headers["x-request-id"] == "abc-1"
