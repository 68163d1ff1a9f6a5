"""A simulated site as outside programs use it: script, control port, process, fleet."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from edge.devices.chargers.ykc.messages import BmsStatus, Realtime, RemoteStop, TransactionRecord
from ops.sim import book as books
from ops.sim.control import ControlClient, ControlError, ControlServer
from ops.sim.fleet import log_in_fleet, numbers
from ops.sim.machine import ChargePointSpec
from ops.sim.script import load, parse, play
from ops.sim.site import Site
from ops.sim.timing import FAST
from ops.sim.wire import STATUS_FAULT
from shared.errors import ConfigError
from tests.fakes.ykc_platform import FakePlatform

ROOT = Path(__file__).resolve().parents[2]
NO = "32010600019236"
CARD = "00000000d14b0a54"
SCRIPT = f"""
[[step]]
do = "plug_in"
charge_point = "{NO}"
car = {{ seed = 4, soc = 0.3 }}

[[step]]
at_s = 0.05
do = "swipe"
charge_point = "{NO}"
card = "{CARD}"
limits = {{ duration_min = 0 }}

[[step]]
do = "wait"
charge_point = "{NO}"
name = "charging"

[[step]]
do = "unplug"
charge_point = "{NO}"

[[step]]
do = "wait"
charge_point = "{NO}"
name = "confirmed"
"""


@pytest_asyncio.fixture
async def platform() -> AsyncIterator[FakePlatform]:
    async with FakePlatform() as platform:
        yield platform


@pytest_asyncio.fixture
async def site(platform: FakePlatform, tmp_path: Path) -> AsyncIterator[Site]:
    site = Site(
        [ChargePointSpec(charge_point_no=NO, bay_locks=True)],
        book_path=tmp_path / "book.jsonl",
        host="127.0.0.1",
        port=platform.port,
        timing=FAST,
        seed=1,
    )
    async with site:
        await site.ready()
        yield site


@pytest_asyncio.fixture
async def client(site: Site) -> AsyncIterator[ControlClient]:
    server = ControlServer(site)
    port = await server.start()
    async with ControlClient(port) as client:
        yield client
    await server.stop()


async def test_script_from_file(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "day.toml"
    path.write_text(SCRIPT)
    results = await play(site, load(path))
    assert results[-1].transaction_no == site.book.entries()[0].transaction_no
    assert site.book.totals().confirmed == 1


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"do": "fly", "charge_point": NO}, "step 1"),
        ({"do": "plug_in", "charge_point": NO, "car": {"soc": 2.0}}, "soc"),
        ({"do": "plug_in", "charge_point": NO, "connectr": 1}, "connectr"),
        ({"do": "fault", "charge_point": NO, "name": "nonsense"}, "nonsense"),
        ({"do": "unplug"}, "charge_point"),
    ],
)
def test_bad_scripts_are_refused_before_anything_happens(
    step: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        parse({"step": [step]})


async def test_control_port_runs_a_charge(
    site: Site, platform: FakePlatform, client: ControlClient
) -> None:
    car = await client.call("plug_in", charge_point=NO, connector=2, car={"seed": 3, "soc": 0.4})
    await client.call("vin", charge_point=NO, connector=2)
    charging = await client.call("wait", charge_point=NO, name="charging", connector=2)
    status = (await client.call("status"))[NO]
    assert status["ready"]
    assert status["connectors"]["2"]["vin"] == car["vin"]
    assert status["connectors"]["2"]["current_da"] > 0
    assert (await client.call("transactions"))["open"] == [charging["transaction_no"]]
    await client.call("overheat", charge_point=NO, connector=2, c_per_s=100.0)
    await platform.received(BmsStatus, lambda m: (m.battery_temp_max_c or 0) > 55)
    await client.call("stop_button", charge_point=NO, connector=2)
    await client.call("wait", charge_point=NO, name="confirmed")
    entry = (await client.call("transactions"))["entries"][0]
    assert (entry["vin"], entry["start_mode"]) == (car["vin"], 5)
    totals = await client.call("totals")
    assert (totals["transactions"], totals["confirmed"], totals["open"]) == (1, 1, 0)
    events = await client.call("events", charge_point=NO, since=charging["index"])
    assert "over_temperature" in [event["name"] for event in events]


async def test_an_open_contactor_cuts_a_charge_that_ignores_every_stop(
    site: Site, platform: FakePlatform, client: ControlClient
) -> None:
    place = {"charge_point": NO, "connector": 1}
    await client.call("plug_in", **place, car={"seed": 3, "soc": 0.4})
    await client.call("fault", charge_point=NO, name="ignore_stop")
    await client.call("vin", **place)
    await client.call("wait", **place, name="charging")

    await client.call("contactor", **place, is_open=True)
    await client.call("wait", **place, name="zero_current")
    await platform.received(
        Realtime, lambda m: (m.connector_no, m.status, m.current_da) == (1, STATUS_FAULT, 0)
    )
    status = (await client.call("status"))[NO]["connectors"]["1"]
    assert (status["isolated"], status["current_da"], status["transaction_no"]) == (True, 0, "")
    await client.call("vin", **place)
    refused = await client.call("wait", **place, name="start_refused")
    assert refused["detail"]["why"] == "fault"

    await client.call("contactor", **place, is_open=False)
    fed = await client.call("wait", **place, name="fed")
    await client.call("vin", **place)
    await client.call("wait", **place, name="charging", since=fed["index"])


async def test_control_port_refuses_with_a_reason(client: ControlClient) -> None:
    with pytest.raises(ControlError, match="no charge point"):
        await client.call("unplug", charge_point="1" * 14)
    with pytest.raises(ControlError, match="connector 9"):
        await client.call("unplug", charge_point=NO, connector=9)
    with pytest.raises(ControlError, match="Invalid value"):
        await client.call("fly")
    assert NO in await client.call("status")


async def test_faults_change_at_run_time(
    site: Site, platform: FakePlatform, client: ControlClient
) -> None:
    await client.call("fault", charge_point=NO, name="no_record")
    await client.call("plug_in", charge_point=NO)
    await client.call("swipe", charge_point=NO, card=CARD)
    await client.call("wait", charge_point=NO, name="charging")
    await client.call("fault", charge_point=NO, name="ignore_stop")
    platform.send(RemoteStop(charge_point_no=NO, connector_no=1))
    await client.call("wait", charge_point=NO, name="remote_stop")
    assert site.charge_points[NO].machine.connectors[1].charging
    await client.call("unplug", charge_point=NO)
    ended = await client.call("wait", charge_point=NO, name="ended")
    assert platform.of(TransactionRecord) == []
    # The only lever of a platform is closing the link: the next login brings the record.
    await client.call("fault", charge_point=NO, name="no_record", value=False)
    await client.call("drop_link", charge_point=NO)
    await client.call("wait", charge_point=NO, name="confirmed")
    await client.call(
        "resend_record",
        charge_point=NO,
        transaction_no=ended["transaction_no"],
        add_energy_dwh=100,
    )
    again = await platform.received(TransactionRecord, count=2)
    assert again.energy_dwh == platform.of(TransactionRecord)[0].energy_dwh + 100
    await client.call("garbage", charge_point=NO)
    await client.call("fault", charge_point=NO, name="flood_per_s", value=1000)
    before = len(platform.of(Realtime))
    await platform.received(Realtime, count=before + 200)
    assert platform.garbage


@asynccontextmanager
async def simulator(port: int, book: Path) -> AsyncIterator[tuple[Process, int]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ops.sim.cli", "charger", "--port", str(port),
        "--first-number", NO, "--timing", "fast", "--book", str(book),
        "--control-port", "-1", "--seed", "5", "--json",
        cwd=ROOT, stdout=PIPE, stderr=PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        async with asyncio.timeout(20):
            line = await process.stderr.readline()
        assert line.startswith(b"control port "), line
        yield process, int(line.split()[-1])
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_book_survives_kill_and_the_records_come_with_the_next_login(
    platform: FakePlatform, tmp_path: Path
) -> None:
    path = tmp_path / "book.jsonl"
    platform.confirm = False
    async with simulator(platform.port, path) as (process, port):
        async with ControlClient(port) as client:
            for connector in (1, 2):
                await client.call("wait", charge_point=NO, name="ready")
                await client.call("plug_in", charge_point=NO, connector=connector)
                await client.call("swipe", charge_point=NO, connector=connector, card=CARD)
                await client.call("wait", charge_point=NO, name="charging", connector=connector)
            await client.call("unplug", charge_point=NO, connector=1)
            await client.call("wait", charge_point=NO, name="record_sent", connector=1)
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
    contents = books.read(path)
    assert (len(contents.entries), len(contents.open)) == (1, 1)
    started = {*contents.entries, *contents.open}

    platform.confirm = True
    async with simulator(platform.port, path) as (process, port):
        async with ControlClient(port) as client:
            for number in started:
                await client.call("wait", charge_point=NO, name="confirmed", transaction_no=number)
        process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        totals = json.loads((await process.stdout.read()).splitlines()[-1])
        assert await process.wait() == 0
    assert (totals["transactions"], totals["confirmed"], totals["open"]) == (2, 2, 0)
    entries = books.read(path).entries
    assert set(entries) == started
    assert sorted(entry.stop_reason for entry in entries.values()) == [0x6B, 0x83]


async def test_fleet_logs_in_at_its_rate(platform: FakePlatform) -> None:
    result = await log_in_fleet(
        numbers("32010600100000", 50), host="127.0.0.1", port=platform.port, rate=200, timeout_s=10
    )
    assert (result.logged_in, result.lost, result.refused) == (50, 0, 0)
    assert 0 < result.login_p50_ms <= result.login_p99_ms <= result.login_max_ms
    assert result.seconds >= 49 / 200


async def test_fleet_counts_what_is_lost(platform: FakePlatform) -> None:
    platform.accept_login = False
    result = await log_in_fleet(
        numbers("32010600100000", 3), host="127.0.0.1", port=platform.port, rate=200, timeout_s=0.5
    )
    assert (result.logged_in, result.lost) == (0, 3)
    assert result.refused >= 3


def test_numbers_are_checked() -> None:
    assert numbers("00000000000009", 2) == ["00000000000009", "00000000000010"]
    with pytest.raises(ValueError, match="14 digits"):
        numbers("12", 1)
    with pytest.raises(ValueError, match="do not fit"):
        numbers("9" * 14, 2)
