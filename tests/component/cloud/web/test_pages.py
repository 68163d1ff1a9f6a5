"""HQ's pages as a browser's requests see them: sessions, forms, headers, languages, errors."""

from __future__ import annotations

import re
from uuid import uuid4

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from cloud.app import all_routes
from cloud.core.db import Sessions
from cloud.core.deps import Admin
from cloud.core.security import Role
from cloud.identity.service import create_staff
from cloud.stations.models import Station
from cloud.stations.service import ensure_operator
from tests.component.cloud.conftest import NOW, PASSWORD

HTML = {"Accept": "text/html,application/xhtml+xml", "Accept-Language": "en"}


@pytest.fixture
async def viewer_name(sessions: Sessions) -> str:
    name = f"viewer-{uuid4().hex[:6]}"
    async with sessions() as session, session.begin():
        operator = await ensure_operator(session, name="Test", now=NOW)
        await create_staff(
            session,
            operator_id=operator.id,
            username=name,
            password=PASSWORD,
            role=Role.VIEWER,
            now=NOW,
        )
    return name


@pytest.fixture
def browser(client: httpx.AsyncClient) -> httpx.AsyncClient:
    """A client that keeps cookies and asks for pages, as browsers do."""
    client.headers.update(HTML)
    return client


def token_of(page: httpx.Response) -> str:
    found = re.search(r'name="csrf_token" value="([0-9a-f]{64})"', page.text)
    assert found, page.text
    return found[1]


async def log_in(
    browser: httpx.AsyncClient, name: str, *, password: str = PASSWORD, then: str = ""
) -> httpx.Response:
    url = httpx.URL("/login", params={"next": then} if then else {})
    form = {"username": name, "password": password, "csrf_token": token_of(await browser.get(url))}
    return await browser.post(url, data=form)


async def test_whoever_is_unknown_logs_in_and_goes_on_to_where_they_wanted(
    browser: httpx.AsyncClient, viewer_name: str, station: Station
) -> None:
    away = await browser.get("/?page=1")
    assert (away.status_code, away.headers["location"]) == (303, "/login?next=%2F%3Fpage%3D1")
    gone_on = await log_in(browser, viewer_name, then="/?page=1")
    assert (gone_on.status_code, gone_on.headers["location"]) == (303, "/?page=1")
    [session] = [c for c in gone_on.headers.get_list("set-cookie") if c.startswith("vw_session=")]
    assert "HttpOnly" in session
    assert "SameSite=lax" in session
    assert "Secure" not in session  # plain HTTP here; the next test has TLS
    page = await browser.get("/?page=1")
    assert page.status_code == 200
    assert station.station_no in page.text
    assert viewer_name in page.text


async def test_behind_tls_cookies_stay_on_tls(api: FastAPI, viewer_name: str) -> None:
    transport = httpx.ASGITransport(api)
    async with httpx.AsyncClient(
        transport=transport, base_url="https://hq", headers=HTML
    ) as browser:
        answer = await log_in(browser, viewer_name)
    assert "Secure" in answer.headers["set-cookie"]
    assert "max-age" in answer.headers["strict-transport-security"]


@pytest.mark.parametrize("then", ["//evil.example", "https://evil.example", "/\\evil.example", ""])
async def test_a_log_in_leads_nowhere_else(
    browser: httpx.AsyncClient, viewer_name: str, then: str
) -> None:
    assert (await log_in(browser, viewer_name, then=then)).headers["location"] == "/"


async def test_a_wrong_password_is_said_and_the_name_is_kept(
    browser: httpx.AsyncClient, viewer_name: str
) -> None:
    refused = await log_in(browser, viewer_name, password="wrong", then="/?page=2")
    assert refused.status_code == 401
    assert "Name or password is wrong." in refused.text
    assert f'value="{viewer_name}"' in refused.text
    assert "next=%2F%3Fpage%3D2" in refused.text
    for _ in range(10):
        refused = await log_in(browser, viewer_name, password="wrong")
    assert (refused.status_code, "retry-after" in refused.headers) == (429, True)


async def test_forms_of_other_sites_are_refused(
    browser: httpx.AsyncClient, viewer_name: str
) -> None:
    form = {"username": viewer_name, "password": PASSWORD}
    assert (await browser.post("/login", data=form)).status_code == 403
    assert (await browser.post("/login", data=form | {"csrf_token": "ä"})).status_code == 403
    await log_in(browser, viewer_name)
    assert (await browser.post("/logout")).status_code == 403
    page = await browser.get("/")
    assert page.status_code == 200
    left = await browser.post("/logout", data={"csrf_token": token_of(page)})
    assert (left.status_code, left.headers["location"]) == (303, "/login")
    assert (await browser.get("/")).status_code == 303


async def test_what_was_copied_from_a_browser_is_worth_nothing_after_it_logged_out(
    browser: httpx.AsyncClient, database: asyncpg.Connection, viewer_name: str
) -> None:
    await log_in(browser, viewer_name)
    copied = {"Authorization": f"Bearer {browser.cookies['vw_session']}"}
    assert (await browser.get("/api/v1/auth/me", headers=copied)).status_code == 200
    page = await browser.get("/")
    await browser.post("/logout", data={"csrf_token": token_of(page)})
    refused = await browser.get("/api/v1/auth/me", headers=copied)
    assert (refused.status_code, refused.json()["code"]) == (401, "unauthorized")
    assert await database.fetchval("SELECT count(*) FROM core_audit WHERE action = 'log_out'") == 1


async def test_a_session_reads_the_api_and_changes_nothing_without_the_forms_token(
    browser: httpx.AsyncClient, sessions: Sessions, viewer_name: str
) -> None:
    await log_in(browser, viewer_name)
    page = await browser.get("/")
    assert (await browser.get("/api/v1/auth/me")).json()["name"] == viewer_name
    path = f"/api/v1/alarms/{uuid4()}/acknowledge"
    forged = await browser.post(path)
    assert (forged.status_code, forged.json()["code"]) == (403, "forged_form")
    # With it the role decides, as everywhere.
    own = await browser.post(path, headers={"X-CSRF-Token": token_of(page)})
    assert (own.status_code, own.json()["code"]) == (403, "forbidden")


async def test_whoever_is_locked_out_is_out_of_the_pages_at_once(
    browser: httpx.AsyncClient, database: asyncpg.Connection, viewer_name: str
) -> None:
    await log_in(browser, viewer_name)
    assert (await browser.get("/")).status_code == 200
    await database.execute("UPDATE identity_staff SET active = false")
    assert (await browser.get("/")).status_code == 303
    stream = await browser.get("/api/v1/live/stream?station=X")
    assert stream.status_code == 401


async def test_errors_are_pages_for_people_and_problems_for_programs(
    api: FastAPI, browser: httpx.AsyncClient, viewer_name: str
) -> None:
    async def prices(staff: Admin) -> None:
        raise AssertionError("a viewer does not come here")

    async def broken() -> None:
        raise ZeroDivisionError

    api.add_api_route("/prices", prices)
    api.add_api_route("/broken", broken)
    await log_in(browser, viewer_name)
    refused = await browser.get("/prices")
    assert refused.status_code == 403
    assert "Missing permission: prices, people, stations." in refused.text
    assert "Roles that have it: Administrator. Yours: Viewer." in refused.text
    gone = await browser.get("/nowhere")
    assert (gone.status_code, "Not found" in gone.text) == (404, True)
    assert (await browser.get(f"/orders/{uuid4()}")).status_code == 404
    assert (await browser.get("/orders/nonsense")).status_code == 422
    bug = await browser.get("/broken", headers={"X-Request-ID": "abc-123"})
    assert (bug.status_code, "abc-123" in bug.text) == (500, True)
    assert "ZeroDivision" not in bug.text
    assert bug.headers["content-security-policy"].startswith("default-src 'self'")
    for path in ("/nowhere", "/broken", "/api/v1/nowhere"):
        answer = await browser.get(path, headers={"Accept": "application/json"})
        assert answer.headers["content-type"] == "application/problem+json"


async def test_every_answer_is_hardened(
    api: FastAPI, browser: httpx.AsyncClient, viewer_name: str
) -> None:
    await log_in(browser, viewer_name)
    for route in all_routes(api):
        if "stream" in str(route.path) or "GET" not in (route.methods or {"GET"}):
            continue
        path = re.sub(r"\{[^}]*\}", str(uuid4()), str(route.path))
        answer = await browser.get(path if path != "/static" else "/static/console.css?v=1")
        headers = answer.headers
        assert "default-src 'self'" in headers["content-security-policy"], path
        assert "frame-ancestors 'none'" in headers["content-security-policy"], path
        assert "unsafe" not in headers["content-security-policy"], path
        assert headers["x-content-type-options"] == "nosniff", path
        cached = "immutable" if path == "/static" else "no-store|private, no-cache"
        assert re.search(cached, headers["cache-control"]), path
        if "text/html" in headers.get("content-type", ""):
            assert not re.search(r"<style|<script(?![^>]*\ssrc=)|\sstyle=|\son\w+=", answer.text)


async def test_static_files_are_only_those(browser: httpx.AsyncClient) -> None:
    page = await browser.get("/login")
    addresses = re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text)
    assert len(addresses) >= 2
    for address in addresses:
        assert (await browser.get(address)).status_code == 200
    for address in ("/static/../texts.py", "/static/%2e%2e/texts.py", "/static/"):
        assert (await browser.get(address)).status_code == 404


@pytest.mark.parametrize(
    ("query", "cookie", "accept", "language"),
    [
        ("", "", "zh-CN,zh;q=0.9,en;q=0.5", "zh-CN"),
        ("", "", "en-GB,zh;q=0.5", "en"),
        ("", "", "", "en"),
        ("", "zh", "en", "zh-CN"),
        ("?lang=en", "zh", "zh", "en"),
        ("?lang=xx", "zh", "en", "zh-CN"),
    ],
)
async def test_the_address_then_the_cookie_then_the_browser_choose_the_language(
    browser: httpx.AsyncClient, query: str, cookie: str, accept: str, language: str
) -> None:
    if cookie:
        browser.cookies.set("vw_lang", cookie)
    page = await browser.get(f"/login{query}", headers={"Accept-Language": accept})
    assert f'<html lang="{language}"' in page.text
    assert ("登录" in page.text) is (language == "zh-CN")


async def test_language_and_theme_are_remembered(browser: httpx.AsyncClient) -> None:
    await browser.get("/login?lang=zh&theme=dark")
    page = await browser.get("/login")
    assert '<html lang="zh-CN" data-theme="dark">' in page.text


async def test_what_people_write_is_text(
    browser: httpx.AsyncClient, viewer_name: str, sessions: Sessions, station: Station
) -> None:
    async with sessions() as session, session.begin():
        found = await session.get(Station, station.id)
        assert found is not None
        found.name_en = '<script>alert(1)</script>"onload=x'
    await log_in(browser, viewer_name)
    page = await browser.get("/")
    assert "<script>alert" not in page.text
    assert "&lt;script&gt;alert" in page.text


async def test_the_first_view_says_what_comes_next(
    browser: httpx.AsyncClient, viewer_name: str
) -> None:
    await log_in(browser, viewer_name)
    page = await browser.get("/")
    assert "No stations yet" in page.text
    assert "No orders yet" in page.text
    assert "No open alarms." in page.text


async def test_an_icon_is_served_to_whoever_asks(browser: httpx.AsyncClient) -> None:
    answer = await browser.get("/favicon.ico")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/svg+xml")
    for path in ("/docs", "/login"):
        [icon] = re.findall(r'<link rel="icon"[^>]* href="([^"]+)"', (await browser.get(path)).text)
        assert (await browser.get(icon)).status_code == 200
