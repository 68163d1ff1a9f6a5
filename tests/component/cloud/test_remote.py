"""What staff has charge points do, from HQ's API to the charge point and back.

Nothing is played: HQ, its worker, the broker, a whole station agent and a charge point on TCP.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, get_args
from uuid import uuid4

import httpx
import pytest

from cloud.core.security import Role
from cloud.stations.models import Station
from cloud.stations.routes import Dialect
from cloud.worker import Worker
from edge.devices.chargers.ykc.dialect import DIALECTS
from ops.embedded import EmbeddedServers
from ops.sim.book import Book
from ops.sim.car import Car
from ops.sim.charge_point import ChargePoint, ChargePointSpec
from ops.sim.timing import FAST
from shared.clock import SystemClock
from shared.contracts.words import TokenKind
from shared.tokens import normalise
from tests.component.cloud.conftest import LogIn
from tests.component.edge.agent_support import CARD, NUMBER, Running, running, write_config

PARALLEL_NO = "261122140322"


class Hq:
    """HQ's API, as one of its staff sees it."""

    def __init__(self, client: httpx.AsyncClient, station_no: str, who: dict[str, str]) -> None:
        self.client = client
        self.station_no = station_no
        self.who = who
        self.root = f"/api/v1/stations/{station_no}"

    async def post(self, path: str, body: Any, expect: int = 202) -> Any:
        headers = self.who | {"Idempotency-Key": uuid4().hex}
        answer = await self.client.post(path, json=body, headers=headers)
        assert answer.status_code == expect, answer.text
        return answer.json()

    async def get(self, path: str) -> Any:
        answer = await self.client.get(path, headers=self.who)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def command(self, **body: Any) -> Any:
        """Have the charge point do something; return the command once it has ended."""
        made = await self.post(f"{self.root}/charge-points/{NUMBER}/commands", body)
        return await self.settled(made)

    async def settled(self, made: Any) -> Any:
        return await self.until(
            f"/api/v1/commands/{made['id']}", lambda shown: shown["outcome"] is not None
        )

    async def until(self, path: str, is_so: Any, seconds: float = 20.0) -> Any:
        """Look until something is so; another process has no event for us."""
        shown = None
        try:
            async with asyncio.timeout(seconds):
                while not is_so(shown := await self.get(path)):  # noqa: ASYNC110 - as said
                    await asyncio.sleep(0.05)
        except TimeoutError:
            pytest.fail(f"{path} stays {shown}")
        return shown

    async def order(self, order_id: str, *states: str) -> Any:
        return await self.until(f"/api/v1/orders/{order_id}", lambda it: it["state"] in states)


@pytest.fixture
async def hq(client: httpx.AsyncClient, log_in: LogIn, station: Station, worker: Worker) -> Hq:
    del worker  # it runs
    return Hq(client, station.station_no, await log_in(Role.ADMIN))


def station_config(servers: EmbeddedServers, hq: Hq, tmp_path: Path, more: str = "") -> Path:
    """The configuration of HQ's station, linked to HQ."""
    ends = servers.endpoints
    secret = tmp_path / "station.secret"
    secret.write_text(ends.mqtt_password)
    link = (
        f'[hq]\nhost = "{ends.mqtt_host}"\nport = {ends.mqtt_port}\ntls = false\n'
        f'user = "{ends.mqtt_user}"\nsecret_file = "{secret}"\n'
    )
    config = write_config(tmp_path / "edge", adopted=(), more=link + more)
    config.write_text(config.read_text().replace('number = "S1"', f'number = "{hq.station_no}"'))
    return config


@pytest.fixture
async def agent(servers: EmbeddedServers, hq: Hq, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(station_config(servers, hq, tmp_path)) as agent:
        yield agent


@pytest.fixture
async def point(agent: Running, hq: Hq, tmp_path: Path) -> AsyncIterator[ChargePoint]:
    """A charge point that knocked, was adopted by HQ's one call, and is ready."""
    book = Book(tmp_path / "book.jsonl")
    spec = ChargePointSpec(charge_point_no=NUMBER, bay_locks=True)
    async with ChargePoint(
        spec,
        book=book,
        host="127.0.0.1",
        port=agent.port,
        clock=SystemClock(),
        timing=FAST,
        seed=7,
    ) as point:
        waiting = await hq.until(f"{hq.root}/quarantine", bool)
        assert [each["charge_point_no"] for each in waiting] == [NUMBER]
        body = {"charge_point_no": NUMBER, "connector_count": 2}
        await hq.post(f"{hq.root}/charge-points", body, expect=201)
        await point.wait_for("ready", timeout_s=20)
        await hq.until(f"{hq.root}/charge-points", lambda shown: shown[0]["online"])
        yield point
    book.close()


async def test_parameters_qr_code_clock_and_bay_lock_reach_the_charge_point(
    hq: Hq, point: ChargePoint
) -> None:
    done = await hq.command(do="work_parameters", in_service=False, power_max_percent=60)
    assert (done["outcome"], done["reason"]) == ("done", "")
    assert (point.machine.device.locked, point.machine.power_percent) == (True, 60)

    done = await hq.command(do="qr_prefix", prefix="https://pay.example/")
    assert done["outcome"] == "done"
    assert point.machine.device.qr_prefix == "https://pay.example/"

    since = point.mark()
    assert (await hq.command(do="sync_clock"))["outcome"] == "done"
    await point.wait_for("clock_set", since=since)

    assert (await hq.command(do="bay_lock", connector_no=2, raised=True))["outcome"] == "done"
    await point.wait_for("bay_lock", connector_no=2)

    assert (await hq.command(do="read", connector_no=1))["outcome"] == "done"


async def test_offline_cards_are_stored_asked_for_and_cleared(hq: Hq, point: ChargePoint) -> None:
    cards = [{"physical_card_no": f"{n:016x}", "logical_card_no": f"{n}"} for n in range(1, 14)]
    assert (await hq.command(do="store_offline_cards", cards=cards))["outcome"] == "done"
    assert len(point.machine.book.device(NUMBER).offline_cards) == 13  # two frames

    asked = await hq.command(do="query_offline_cards", physical_card_nos=["1", "ff"])
    assert asked["answer"] == [
        {"physical_card": f"{1:016x}", "present": 1},
        {"physical_card": f"{0xFF:016x}", "present": 0},
    ]

    cleared = await hq.command(do="clear_offline_cards", physical_card_nos=["1", "2"])
    assert [each["cleared"] for each in cleared["answer"]] == [1, 1]
    assert len(point.machine.book.device(NUMBER).offline_cards) == 11


async def test_a_restart_is_answered_and_a_program_is_done_when_the_new_one_logs_in(
    hq: Hq, point: ChargePoint
) -> None:
    assert (await hq.command(do="reboot"))["outcome"] == "done"
    await point.wait_for("rebooting")
    await point.wait_for("ready", since=point.mark(), timeout_s=20)

    made = await hq.post(
        f"{hq.root}/charge-points/{NUMBER}/firmware",
        {"power_kw": 120, "host": "10.0.0.9", "path": "fw/VW2.0.0.bin", "password": "hush"},
    )
    shown = await hq.until(f"/api/v1/commands/{made['id']}", lambda it: it["outcome"] == "done")
    assert shown["reason"] == "VW1.0.0 → VW2.0.0"
    points = await hq.get(f"{hq.root}/charge-points")
    assert points[0]["firmware"] == "VW2.0.0"
    audit = await hq.get("/api/v1/audit")
    assert "hush" not in str(audit)
    listed = await hq.get(f"{hq.root}/commands?kind=UpdateFirmware")
    assert [each["id"] for each in listed["items"]] == [made["id"]]


async def test_the_limit_of_a_running_charge_is_changed_at_hq_station_and_charge_point(
    hq: Hq, agent: Running, point: ChargePoint
) -> None:
    point.plug_in(1, Car.seeded(1, soc=0.2))
    body = {"station_no": hq.station_no, "charge_point_no": NUMBER, "connector_no": 1}
    order_id = (await hq.post("/api/v1/orders", body | {"limit_fen": 20_000}))["order_id"]
    await point.wait_for("charging", connector_no=1, timeout_s=20)
    await hq.order(order_id, "charging")

    changed = await hq.settled(await hq.post(f"/api/v1/orders/{order_id}/limit", {"limit_fen": 0}))
    assert changed["outcome"] == "done"
    charge = point.machine.connectors[1].charge
    assert charge is not None  # it goes on: no limit is not no money
    assert charge.balance_fen is not None
    assert charge.balance_fen > 20_000

    await hq.settled(await hq.post(f"/api/v1/orders/{order_id}/limit", {"limit_fen": 1_234}))
    assert charge.balance_fen == 1_234
    [running_] = agent.agent.station.book.open_transactions()
    assert running_.limit_fen == 1_234
    assert (await hq.get(f"/api/v1/orders/{order_id}"))["limit_fen"] == 1_234

    point.unplug(1)
    over = await hq.order(order_id, "billed", "in_review")
    assert over["limit_fen"] == 1_234
    refused = await hq.post(f"/api/v1/orders/{order_id}/limit", {"limit_fen": 1}, expect=409)
    assert refused["code"] == "order_over"


async def test_a_limit_stays_within_what_its_token_has_left(hq: Hq, point: ChargePoint) -> None:
    token = {"kind": "card", "value": CARD, "limit_fen": 5_000}
    await hq.post("/api/v1/tokens", token, expect=201)
    point.plug_in(1, Car.seeded(1, soc=0.2))
    body = {"station_no": hq.station_no, "charge_point_no": NUMBER, "connector_no": 1}
    body |= {"token": {"kind": "card", "value": CARD}, "limit_fen": 1_000}
    order_id = (await hq.post("/api/v1/orders", body))["order_id"]
    await hq.order(order_id, "charging")

    refused = await hq.post(f"/api/v1/orders/{order_id}/limit", {"limit_fen": 5_001}, expect=403)
    assert (refused["code"], refused["left_fen"]) == ("token_refused", 5_000)
    await hq.post(f"/api/v1/orders/{order_id}/limit", {"limit_fen": 0})
    assert (await hq.get(f"/api/v1/orders/{order_id}"))["limit_fen"] == 5_000


async def test_hq_starts_one_vehicle_on_two_connectors_together(hq: Hq, point: ChargePoint) -> None:
    for number in (1, 2):
        point.plug_in(number, Car.seeded(number, soc=0.2))
    body = {"station_no": hq.station_no, "charge_point_no": NUMBER, "parallel_no": PARALLEL_NO}
    orders = [
        (await hq.post("/api/v1/orders", body | {"connector_no": number}))["order_id"]
        for number in (1, 2)
    ]
    for order_id in orders:
        assert (await hq.order(order_id, "charging"))["parallel_no"] == PARALLEL_NO
    since = point.mark()
    await hq.post(f"/api/v1/orders/{orders[0]}/stop", None)
    for number in (1, 2):  # stopping one stops all
        await point.wait_for("remote_stop", connector_no=number, since=since)
    for order_id in orders:
        await hq.order(order_id, "billed", "in_review")


async def test_an_emergency_stop_blocks_until_hq_lifts_it(hq: Hq, point: ChargePoint) -> None:
    point.plug_in(1, Car.seeded(1, soc=0.2))
    body = {"station_no": hq.station_no, "charge_point_no": NUMBER, "connector_no": 1}
    order_id = (await hq.post("/api/v1/orders", body))["order_id"]
    await hq.order(order_id, "charging")
    place = {"charge_point_no": NUMBER, "connector_no": 1, "reason": "cable on fire"}

    stopped = await hq.settled(await hq.post(f"{hq.root}/emergency-stop", place))
    assert (stopped["kind"], stopped["outcome"]) == ("EmergencyStop", "done")
    await point.wait_for("remote_stop", connector_no=1)
    await hq.order(order_id, "billed", "in_review")
    refused = (await hq.post("/api/v1/orders", body))["order_id"]
    await hq.order(refused, "failed")

    lifted = await hq.settled(await hq.post(f"{hq.root}/emergency-stop/lift", place))
    assert (lifted["outcome"], lifted["reason"]) == ("done", "")
    point.unplug(1)
    point.plug_in(1, Car.seeded(2, soc=0.2))
    again = (await hq.post("/api/v1/orders", body))["order_id"]
    await hq.order(again, "charging")


@pytest.mark.parametrize("kind", ["card", "vin", "account"])
async def test_who_is_known_at_hq_starts_at_the_charge_point(
    hq: Hq, point: ChargePoint, kind: str
) -> None:
    car = Car.seeded(1, soc=0.2)
    value = {"card": CARD, "vin": car.vin, "account": "13800138000"}[kind]
    token = {"kind": kind, "value": value, "limit_fen": 50_000}
    await hq.post("/api/v1/tokens", token, expect=201)
    point.plug_in(1, car)
    match kind:
        case "card":
            point.swipe_card(1, CARD)
        case "vin":
            point.present_vin(1)
        case "account":
            point.use_account(1, value.zfill(16))
    await point.wait_for("charging", connector_no=1, timeout_s=20)
    path = f"/api/v1/orders?station={hq.station_no}&state=charging"
    [order] = (await hq.until(path, lambda page: page["items"]))["items"]
    assert (order["means"], order["token_kind"]) == (kind, kind)
    assert order["token_value"] == normalise(TokenKind(kind), value)
    assert order["limit_fen"] == 50_000
    point.unplug(1)
    await hq.order(order["id"], "billed", "in_review")


async def test_a_card_in_the_charge_points_own_list_charges_while_it_is_cut_off(
    hq: Hq, agent: Running, point: ChargePoint
) -> None:
    cards = [{"physical_card_no": CARD}]
    assert (await hq.command(do="store_offline_cards", cards=cards))["outcome"] == "done"
    await hq.post("/api/v1/tokens", {"kind": "card", "value": CARD}, expect=201)
    since = point.mark()
    point.set_fault("link_down")
    await point.wait_for("link_lost", since=since)
    point.plug_in(1, Car.seeded(1, soc=0.2))
    point.swipe_card(1, CARD)
    number = (await point.wait_for("charging", since=since)).transaction_no
    point.unplug(1)
    await point.wait_for("ended", since=since)
    point.set_fault("link_down", False)
    await point.wait_for("confirmed", transaction_no=number, timeout_s=30)
    path = f"/api/v1/orders?transaction_no={number}"
    [order] = (await hq.until(path, lambda page: page["items"]))["items"]
    over = await hq.order(order["id"], "billed", "in_review", "failed")
    assert over["means"] == "offline_card"
    assert (over["token_kind"], over["token_value"]) == ("card", CARD.upper())


async def test_a_charge_point_of_the_file_is_taken_over_as_the_file_has_it(
    servers: EmbeddedServers, hq: Hq, tmp_path: Path
) -> None:
    more = (
        f'[[charge_point]]\nnumber = "{NUMBER}"\nconnectors = 2\nrated_kw = 60\n'
        'dialect = "ykc15"\nsilence_limit_s = 6\nrounds_to_fen = true\n'
    )
    book = Book(tmp_path / "book.jsonl")
    async with (
        running(station_config(servers, hq, tmp_path, more)) as agent,
        ChargePoint(
            ChargePointSpec(charge_point_no=NUMBER),
            book=book,
            host="127.0.0.1",
            port=agent.port,
            clock=SystemClock(),
            timing=FAST,
            seed=7,
        ),
    ):
        [shown] = await hq.until(
            f"{hq.root}/charge-points", lambda points: points and points[0]["firmware"]
        )
        registry = agent.agent.station.registry
        async with asyncio.timeout(10):
            while registry.version == 0:  # noqa: ASYNC110 - HQ's answer, on its way
                await asyncio.sleep(0.05)
    book.close()
    wanted = {"rated_w": 60_000, "dialect": "ykc15", "silence_limit_s": 6, "rounds_to_fen": True}
    assert {name: shown[name] for name in wanted} == wanted
    held = registry.get(NUMBER)
    assert held is not None
    assert {name: getattr(held, name) for name in wanted} == wanted
    assert registry.local_additions() == []


async def test_a_charge_point_is_described_otherwise_and_retired(
    hq: Hq, agent: Running, point: ChargePoint
) -> None:
    url = f"{hq.root}/charge-points/{NUMBER}"
    registry = agent.agent.station.registry
    since = point.mark()
    answer = await hq.client.patch(
        url, json={"rated_w": 60_000, "silence_limit_s": 6}, headers=hq.who
    )
    assert answer.status_code == 200, answer.text
    await point.wait_for("ready", since=since, timeout_s=20)  # served as it is now
    held = registry.get(NUMBER)
    assert held is not None
    assert (held.rated_w, held.silence_limit_s, held.dialect) == (60_000, 6, "ykc16")
    wrong = await hq.client.patch(url, json={"dialect": "ocpp"}, headers=hq.who)
    assert wrong.json()["errors"][0]["pointer"] == "/body/dialect"

    point.plug_in(1, Car.seeded(1, soc=0.2))
    body = {"station_no": hq.station_no, "charge_point_no": NUMBER, "connector_no": 1}
    order_id = (await hq.post("/api/v1/orders", body))["order_id"]
    await hq.order(order_id, "charging")
    await hq.until(f"{hq.root}/charge-points", lambda it: it[0]["connectors"][0]["transaction_id"])
    busy = await hq.client.delete(url, headers=hq.who)
    assert (busy.status_code, busy.json()["code"]) == (409, "charge_point_busy")
    point.unplug(1)
    await hq.order(order_id, "billed", "in_review")
    await hq.until(
        f"{hq.root}/charge-points", lambda it: not it[0]["connectors"][0]["transaction_id"]
    )

    since = point.mark()
    assert (await hq.client.delete(url, headers=hq.who)).status_code == 204
    await point.wait_for("login_refused", since=since, timeout_s=20)
    assert await hq.get(f"{hq.root}/charge-points") == []
    assert agent.agent.station.registry.get(NUMBER) is None
    assert (await hq.get(f"/api/v1/orders/{order_id}"))["charge_point_no"] == NUMBER
    await hq.until(f"{hq.root}/quarantine", bool)

    since = point.mark()
    again = {"charge_point_no": NUMBER, "connector_count": 2, "rated_w": 90_000}
    await hq.post(f"{hq.root}/charge-points", again, expect=201)
    await point.wait_for("ready", since=since, timeout_s=20)
    assert (await hq.get(f"{hq.root}/charge-points"))[0]["rated_w"] == 90_000


def test_hq_knows_the_dialects_that_stations_speak() -> None:
    assert set(get_args(Dialect)) == set(DIALECTS)


async def test_what_cannot_be_is_refused_with_the_field(
    hq: Hq, client: httpx.AsyncClient, log_in: LogIn, station: Station
) -> None:
    url = f"{hq.root}/charge-points/{NUMBER}/commands"
    unknown = await hq.post(url, {"do": "reboot"}, expect=404)
    assert unknown["code"] == "charge_point_not_found"
    wrong = await hq.post(
        url, {"do": "work_parameters", "in_service": True, "power_max_percent": 20}, expect=422
    )
    assert wrong["errors"][0]["pointer"] == "/body/work_parameters/power_max_percent"
    await hq.post(url, {"do": "explode"}, expect=422)
    no_place = {"connector_no": 1, "reason": "x"}
    await hq.post(f"{hq.root}/emergency-stop", no_place, expect=422)

    viewer = Hq(client, station.station_no, await log_in(Role.VIEWER))
    await viewer.post(url, {"do": "reboot"}, expect=403)
    dispatcher = Hq(client, station.station_no, await log_in(Role.DISPATCHER))
    firmware = {"power_kw": 60, "host": "h", "path": "p"}
    await dispatcher.post(f"{hq.root}/charge-points/{NUMBER}/firmware", firmware, expect=403)
