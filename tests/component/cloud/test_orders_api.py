"""Orders, tokens, tariffs and alarms through the API, from log-in to audit."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from sqlmodel import col, select

from cloud.core.commands import CommandRow
from cloud.core.db import Sessions
from cloud.core.security import Role
from cloud.ingest.handlers import Ingested
from cloud.stations.models import Station
from cloud.stations.service import register_charge_point
from edge.journal import Put
from edge.station.access import AccessList
from shared.contracts.commands import ChargePointConfig, PublishAccessList
from shared.contracts.envelope import PACKED_MAX, decode_command
from shared.contracts.events import AlarmRaised, Event, FrameReference, Token
from shared.contracts.words import Severity, TokenKind
from tests.component.cloud.slices import world as w

TARIFF = {
    "slots": w.TARIFF.slots,
    "prices_e5": {
        str(period): [price.energy_price_e5, price.service_price_e5]
        for period, price in w.TARIFF.prices.items()
    },
}


class Hq:
    """What a member of staff can do, and a station whose facts arrive."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        headers: dict[str, str],
        station: Station,
        sessions: Sessions,
    ) -> None:
        self._client = client
        self._headers = headers
        self.station = station
        self.sessions = sessions

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self._client.get(f"/api/v1/{path}", headers=self._headers | headers)

    async def post(self, path: str, body: Any = None, *, key: str | None = "") -> httpx.Response:
        headers = {} if key is None else {"Idempotency-Key": key or str(uuid4())}
        return await self._client.post(
            f"/api/v1/{path}", json=body, headers=self._headers | headers
        )

    async def upload(self, path: str, text: str) -> httpx.Response:
        headers = self._headers | {"Content-Type": "text/csv"}
        return await self._client.post(
            f"/api/v1/{path}", content=text.encode(), headers=headers, timeout=30
        )

    async def deliver(self, *events: Event) -> None:
        context = Ingested(
            operator_id=self.station.operator_id,
            station_id=self.station.id,
            station_no=self.station.station_no,
            zone=w.SHANGHAI,
            received_at=w.END,
        )
        async with self.sessions() as session, session.begin():
            for event in events:
                for handler in w.HANDLERS[type(event)]:
                    await handler(session, context, event)


@pytest.fixture
async def hq(client: httpx.AsyncClient, log_in: Any, station: Station, sessions: Sessions) -> Hq:
    async with sessions() as session, session.begin():
        await register_charge_point(
            session,
            station=station,
            config=ChargePointConfig(charge_point_no=w.CHARGE_POINT_NO, connector_count=2),
            now=w.START,
        )
    return Hq(client, await log_in(Role.ADMIN), station, sessions)


def facts(tariff_version_id: str) -> w.World:
    names = {
        "transaction_id": UUID(int=1),
        "transaction_no": "5" * 32,
        "charge_point_no": w.CHARGE_POINT_NO,
        "connector_no": 1,
    }
    version = type("V", (), {"id": UUID(tariff_version_id)})()
    return w.World(session=None, station=None, version=version, staff=None, names=names)  # type: ignore[arg-type]


async def test_a_charge_from_price_list_to_bill(hq: Hq, database: asyncpg.Connection) -> None:
    number = hq.station.station_no
    tariff = await hq.post(f"stations/{number}/tariffs", {"tariff": TARIFF})
    assert tariff.status_code == 201, tariff.text
    card = {"kind": "card", "value": w.CARD.value}
    token = await hq.post("tokens", card | {"limit_fen": 50_000, "password_md5": "0" * 16})
    assert token.status_code == 201, token.text
    assert token.json()["has_password"]
    wish = {"station_no": number, "charge_point_no": w.CHARGE_POINT_NO, "connector_no": 1}
    started = await hq.post("orders", wish | {"token": card}, key="one")
    again = await hq.post("orders", wish | {"token": card}, key="one")
    assert (started.status_code, started.json()) == (202, again.json())
    order_id = started.json()["order_id"]
    world = facts(tariff.json()["id"])
    remote = {"order_id": UUID(order_id)}
    await hq.deliver(world.authorized(**remote), world.started(**remote))
    stopped = await hq.post(f"orders/{order_id}/stop")
    assert (stopped.status_code, stopped.json()["state"]) == (202, "charging")
    await hq.deliver(world.ended(**remote))

    detail = (await hq.get(f"orders/{order_id}")).json()
    assert (detail["state"], detail["payable_fen"]) == ("billed", 9137)
    assert [entry["kind"] for entry in detail["timeline"]] == [
        "TransactionAuthorized",
        "TransactionStarted",
        "TransactionEnded",
    ]
    [bill] = detail["bills"]
    assert (bill["charge_point_e4"], bill["station_fen"], bill["hq_fen"]) == (913_683, 9137, 9137)
    explained = (await hq.get(f"orders/{order_id}/explanation")).json()
    assert explained["total_nano"] == 91_368_251_331
    listed = (await hq.get(f"orders?station={number}&state=billed")).json()
    assert [order["id"] for order in listed["items"]] == [order_id]
    days = (await hq.get("orders/reconciliation?day=2026-11-22")).json()
    assert [day["ok"] for day in days if day["station_no"] == number] == [True]
    exported = await hq.get("orders/export.csv")
    assert exported.content.startswith(b"\xef\xbb\xbforder_id,")
    actions = {row["action"] for row in await database.fetch("SELECT action FROM core_audit")}
    assert {"create_version", "create_token", "start_order", "stop_order"} <= actions


@pytest.mark.parametrize("table", ["billing_bill", "billing_line"])
@pytest.mark.parametrize("change", ["UPDATE {} SET energy_dwh = 0", "DELETE FROM {}"])
async def test_the_database_itself_changes_no_bill(
    hq: Hq, database: asyncpg.Connection, table: str, change: str
) -> None:
    number = hq.station.station_no
    tariff = await hq.post(f"stations/{number}/tariffs", {"tariff": TARIFF})
    await hq.deliver(facts(tariff.json()["id"]).ended())
    assert await database.fetchval(f"SELECT count(*) FROM {table}") > 0
    with pytest.raises(asyncpg.RaiseError, match="never changed"):
        await database.execute(change.format(table))


async def test_only_who_may_operate_has_a_station_send_its_frames(
    hq: Hq, log_in: Any, client: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    tariff = await hq.post(f"stations/{hq.station.station_no}/tariffs", {"tariff": TARIFF})
    world = facts(tariff.json()["id"])
    pieces = tuple(FrameReference(f"{n}.hex", 1, 2, "0" * 64) for n in range(25))
    await hq.deliver(world.ended(frames=pieces))
    [order] = (await hq.get("orders")).json()["items"]
    viewer = await log_in(Role.VIEWER)
    path = f"/api/v1/orders/{order['id']}"
    read = await client.get(f"{path}/explanation?frames=true", headers=viewer)
    assert {piece["status"] for piece in read.json()["frames"]} == {"not_fetched"}
    assert (await client.post(f"{path}/frames", headers=viewer)).status_code == 403
    asked = await hq.post(f"orders/{order['id']}/frames")
    assert asked.json()["frames"][0]["status"] == "unreachable"
    audited = await database.fetchval(
        "SELECT count(*) FROM core_audit WHERE action = 'explain_with_frames'"
    )
    assert audited == 1


async def test_a_key_is_needed_and_is_for_one_wish(hq: Hq) -> None:
    wish = {
        "station_no": hq.station.station_no,
        "charge_point_no": w.CHARGE_POINT_NO,
        "connector_no": 1,
    }
    assert (await hq.post("orders", wish, key=None)).status_code == 422
    assert (await hq.post("orders", wish, key="k")).status_code == 202
    other = await hq.post("orders", wish | {"connector_no": 2}, key="k")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    gone = await hq.post("orders", wish | {"connector_no": 9})
    assert (gone.status_code, gone.json()["code"]) == (404, "charge_point_not_found")


async def test_what_is_in_review_is_decided_once_with_a_reason(hq: Hq) -> None:
    tariff = await hq.post(f"stations/{hq.station.station_no}/tariffs", {"tariff": TARIFF})
    world = facts(tariff.json()["id"])
    await hq.deliver(world.ended(record=world.record(amount_e4=1_800_000)))
    [entry] = (await hq.get("orders/review?cause=arithmetic")).json()
    assert entry["bill"]["payable_fen"] == 0
    path = f"orders/{entry['order']['id']}/review"
    assert (await hq.post(path, {"decision": "waive", "reason": ""})).status_code == 422
    decided = await hq.post(path, {"decision": "accept_hq", "reason": "meter checked"}, key="d")
    assert decided.json()["order"]["payable_fen"] == 9137
    again = await hq.post(path, {"decision": "accept_hq", "reason": "meter checked"}, key="d")
    assert again.json() == decided.json()
    late = await hq.post(path, {"decision": "waive", "reason": "late"})
    assert (late.status_code, late.json()["code"]) == (409, "not_in_review")
    assert (await hq.get("orders/review")).json() == []


async def test_prices_are_looked_at_and_compared(hq: Hq) -> None:
    path = f"stations/{hq.station.station_no}/tariffs"
    await hq.post(path, {"tariff": TARIFF})
    dearer = TARIFF | {"prices_e5": TARIFF["prices_e5"] | {"flat": [70_000, 40_000]}}
    second = await hq.post(path, {"tariff": dearer, "valid_from": "2027-01-01T00:00:00+08:00"})
    assert (second.json()["version"], second.json()["kind"]) == (2, "energy")
    compared = (await hq.get(f"{path}/compare?before=1&after=2")).json()
    assert compared == [{"field": "flat.energy_price_e5", "before": "65432", "after": "70000"}]
    assert [v["version"] for v in (await hq.get(path)).json()] == [2, 1]
    assert (await hq.get(f"{path}/1")).json()["tariff"]["slots"] == w.TARIFF.slots
    assert (await hq.get(f"{path}/9")).status_code == 404
    assert (await hq.get(f"{path}/holdings")).json() == []
    wrong = await hq.post(path, {"tariff": TARIFF | {"slots": "F" * 47}})
    assert (wrong.status_code, wrong.json()["field"]) == (400, "tariff.slots")


async def test_alarms_speak_the_readers_language(hq: Hq) -> None:
    await hq.deliver(
        AlarmRaised(
            occurred_at=w.START + timedelta(minutes=1),
            alarm_id=uuid4(),
            code="battery_over_temperature",
            severity=Severity.CRITICAL,
            object=f"connector:{w.CHARGE_POINT_NO}:1",
            params={"temperature_c": "61"},
        )
    )
    chinese = (await hq.get("alarms", **{"Accept-Language": "zh-CN,zh;q=0.9"})).json()["items"]
    english = (await hq.get("alarms", **{"Accept-Language": "en"})).json()["items"]
    assert [a["title"] for a in chinese + english] == [
        "电池过温 61 °C",
        "Battery too hot, 61 °C",
    ]
    seen = await hq.post(f"alarms/{chinese[0]['id']}/acknowledge", key=None)
    assert seen.json()["acknowledged_by"].startswith("admin")
    assert (await hq.get("alarms/trips")).json()["items"] == []


async def test_a_viewer_may_only_look(
    client: httpx.AsyncClient, log_in: Any, hq: Hq, sessions: Sessions
) -> None:
    viewer = Hq(client, await log_in(Role.VIEWER), hq.station, sessions)
    wish = {
        "station_no": hq.station.station_no,
        "charge_point_no": w.CHARGE_POINT_NO,
        "connector_no": 1,
    }
    assert (await viewer.post("orders", wish)).status_code == 403
    assert (await viewer.post("tokens", {"kind": "card", "value": "0" * 16})).status_code == 403
    assert (await viewer.get("orders")).status_code == 200
    assert (await viewer.get("tokens")).status_code == 200


async def test_the_audit_says_what_somebody_decided_and_what_it_was_before(
    hq: Hq, database: asyncpg.Connection
) -> None:
    number = hq.station.station_no
    tariff = (await hq.post(f"stations/{number}/tariffs", {"tariff": TARIFF})).json()
    dearer = TARIFF | {"per_minute_e5": 100}
    assert (await hq.post(f"stations/{number}/tariffs", {"tariff": dearer})).is_success
    world = facts(tariff["id"])
    await hq.deliver(world.authorized(), world.started(), world.estimated())
    [order] = (await hq.get("orders?state=estimated")).json()["items"]
    body = {"decision": "waive", "reason": "the charge point burnt down"}
    assert (await hq.post(f"orders/{order['id']}/review", body)).is_success
    rows = await database.fetch("SELECT action, details FROM core_audit ORDER BY id")
    details = {row["action"]: json.loads(row["details"]) for row in rows}
    assert details["decide_order"] == {
        "before.state": "estimated",
        "before.payable_fen": str(order["payable_fen"]),
        "after.state": "billed",
        "after.payable_fen": "0",
        "after.decision": "waive",
        "after.reason": body["reason"],
    }
    published = details["create_version"]
    assert (published["before.version"], published["after.version"]) == ("1", "2")
    assert (published["before.per_minute_e5"], published["after.per_minute_e5"]) == ("0", "100")


async def test_lists_link_to_their_next_part_and_details_have_tags(hq: Hq) -> None:
    for number in range(3):
        await hq.post("tokens", {"kind": "account", "value": f"fleet-{number}"})
    path, seen = "tokens?limit=2&kind=account", []
    while path:
        answer = await hq.get(path)
        seen += [each["value"] for each in answer.json()["items"]]
        link = answer.headers.get("link", "")
        path = link.partition("</api/v1/")[2].partition(">")[0]
        assert bool(path) == bool(answer.json()["next_cursor"])
        assert not path or link.endswith('>; rel="next"')
    assert seen == ["fleet-2", "fleet-1", "fleet-0"]

    place = f"stations/{hq.station.station_no}"
    first = await hq.get(place)
    tag = first.headers["etag"]
    again = await hq.get(place, **{"If-None-Match": f'"else", W/{tag}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == tag
    other = await hq.get(place, **{"If-None-Match": '"else"'})
    assert (other.status_code, other.content) == (200, first.content)


async def test_tokens_come_and_go_as_a_file(hq: Hq) -> None:
    number = hq.station.station_no
    head = "kind,value,limit_fen,holder,password_md5,station_nos\n"
    cards = [f"card,{index:016X},,,," for index in range(10_000)]
    refused = await hq.upload("tokens/import", head + "card,1,,,,NOWHERE\naccount,a,x,,,\n")
    assert refused.status_code == 400
    assert [(e["line"], e["column"]) for e in refused.json()["errors"]] == [
        (2, "value"),
        (3, "limit_fen"),
    ]
    nowhere = await hq.upload("tokens/import", head + "account,a,,,,NOWHERE\n")
    assert nowhere.json()["errors"] == [
        {"line": 2, "column": "station_nos", "message": "there is no station NOWHERE"}
    ]
    last = f"account,fleet-1,500,张三,0123456789abcdef,{number}"
    body = head + "\n".join([*cards, last]) + "\n"
    assert (await hq.upload("tokens/import", body)).json() == {"created": 10_001, "changed": 0}
    again = head + "account,fleet-1,600,,,\n"
    assert (await hq.upload("tokens/import", again)).json() == {"created": 0, "changed": 1}
    [token] = (await hq.get("tokens?kind=account")).json()["items"]
    assert (token["limit_fen"], token["holder"]) == (600, "张三")
    assert token["has_password"]
    assert token["station_ids"] == [str(hq.station.id)]
    exported = await hq.get("tokens/export")
    assert exported.headers["content-type"] == "text/csv; charset=utf-8"
    assert "0123456789abcdef" not in exported.text
    assert f"account,fleet-1,false,600,,张三,,{number},0" in exported.text.splitlines()
    assert (await hq.upload("tokens/import", exported.text)).json()["created"] == 0

    # Each part fits into an envelope, and the station has the whole list once all are there.
    listed = AccessList({})
    async with hq.sessions() as session:
        rows = (await session.scalars(select(CommandRow).order_by(col(CommandRow.id)))).all()
        waiting = [r for r in rows if r.kind == "PublishAccessList" and r.settled_at is None]
    assert len(waiting) == 11
    stored: dict[str, bytes] = {}
    for row in reversed(waiting):
        envelope = row.envelope()
        assert len(envelope) < PACKED_MAX
        command = decode_command(envelope).command
        assert isinstance(command, PublishAccessList)
        assert listed.version == 0
        for change in listed.put(command):
            if isinstance(change, Put):
                stored[change.key] = change.blob
            else:
                stored.pop(change.key, None)
        listed = AccessList(stored)  # as after a crash between any two parts
    assert listed.version == 3
    # Of the lists before nothing is left.
    assert set(stored) == {"list", *(f"part:3:11:{part_no}" for part_no in range(1, 12))}
    assert listed.find(Token(TokenKind.ACCOUNT, "fleet-1")) is not None
    assert all(listed.find(Token(TokenKind.CARD, f"{n:016X}")) for n in range(10_000))


async def test_accounts_that_differ_in_case_are_two(hq: Hq) -> None:
    for name in ("abc", "ABC"):
        made = await hq.post("tokens", {"kind": "account", "value": name})
        assert made.status_code == 201, made.text
        found = (await hq.get(f"tokens?value={name}")).json()["items"]
        assert [token["value"] for token in found] == [name]
        wish = {
            "station_no": hq.station.station_no,
            "charge_point_no": w.CHARGE_POINT_NO,
            "connector_no": 1,
            "token": {"kind": "account", "value": name},
        }
        await hq.post("orders", wish)
    for name in ("abc", "ABC"):
        listed = (await hq.get(f"orders?token={name}")).json()["items"]
        assert [order["token_value"] for order in listed] == [name]
    card = await hq.post("tokens", {"kind": "card", "value": w.CARD.value})
    assert card.status_code == 201
    found = (await hq.get(f"tokens?value={w.CARD.value.lower()}")).json()["items"]
    assert [token["value"] for token in found] == [w.CARD.value]
