"""Who gets in, and what a station can neither read nor write."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiomqtt import Client, MqttError, ProtocolVersion

from edge.uplink.mqtt import Broker
from ops.broker import files
from ops.broker.files import WORKER
from shared.contracts import topics
from shared.contracts.topics import Lane
from tests.component.broker.conftest import OTHER, Mosquitto
from tests.component.link_support import STATION, WAIT_S, Station, running

LAST = b"last"
FOREIGN = (
    topics.up(OTHER, Lane.BILL),
    topics.up(OTHER, Lane.LIVE),
    topics.status(OTHER),
    topics.down_ack(OTHER),
    topics.down_command(OTHER),
    topics.down_ack(STATION),
    topics.down_command(STATION),
    f"{topics.up(STATION, Lane.BILL)}/../{OTHER}".replace(STATION, OTHER),
    "vw/1/status",
    "anything",
)
NOSY = (
    "#",
    "+/+/+/+/#",
    f"vw/1/{OTHER}/#",
    topics.all_down(OTHER),
    topics.down_command(OTHER),
    f"$share/hq/vw/1/{OTHER}/#",
    topics.WORKER_UPLINKS,
    topics.ALL_STATUS,
    "$SYS/#",
)


class Peer:
    """A connection with any topics, which notes all that it is given until the last message."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.heard: list[tuple[str, bytes]] = []
        self.granted: dict[str, bool] = {}
        self._last = asyncio.Event()

    async def listen(self) -> None:
        async for message in self._client.messages:
            assert isinstance(message.payload, bytes)
            if message.payload == LAST:
                self._last.set()
            else:
                self.heard.append((str(message.topic), message.payload))

    async def say(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        await self._client.publish(topic, payload, qos=1, retain=retain)

    async def told_last(self) -> None:
        """Wait for the message that comes after everything else."""
        async with asyncio.timeout(WAIT_S):
            await self._last.wait()


@contextlib.asynccontextmanager
async def peer(login: Broker, *subscriptions: str, identifier: str = "") -> AsyncIterator[Peer]:
    async with Client(
        login.host,
        login.port,
        username=login.username or None,
        password=login.password or None,
        identifier=identifier or f"test-{login.username}",
        protocol=ProtocolVersion.V5,
        tls_context=login.tls,
        timeout=login.timeout_s,
    ) as client:
        one = Peer(client)
        for topic in subscriptions:
            one.granted[topic] = not (await client.subscribe(topic, qos=1))[0].is_failure
        async with running(asyncio.create_task(one.listen())):
            yield one


async def test_a_station_hears_and_speaks_for_itself_only(broker: Mosquitto) -> None:
    await broker.start()
    hq_topics = (topics.WORKER_UPLINKS, topics.ALL_STATUS)
    async with (
        peer(broker.worker_login(), *hq_topics) as hq,
        peer(broker.login(OTHER), topics.all_down(OTHER)) as other,
        peer(broker.login(), *NOSY, topics.all_down(STATION)) as nosy,
    ):
        for topic in FOREIGN:
            await nosy.say(topic, b"forged")
            await nosy.say(topic, b"forged", retain=True)
        await other.say(topics.up(OTHER, Lane.BILL), b"bill")
        await other.say(topics.status(OTHER), b"status", retain=True)
        await hq.say(topics.down_command(OTHER), b"command")
        await hq.say(topics.down_ack(OTHER), b"ack")
        await hq.say(topics.down_ack(OTHER), LAST)
        await other.told_last()
        await hq.say(topics.down_ack(STATION), LAST)
        await nosy.told_last()
        await nosy.say(topics.up(STATION, Lane.BILL), LAST)
        await hq.told_last()
    assert nosy.heard == []
    assert [topic for topic, granted in nosy.granted.items() if granted] == [
        topics.all_down(STATION)
    ]
    assert other.heard == [
        (topics.down_command(OTHER), b"command"),
        (topics.down_ack(OTHER), b"ack"),
    ]
    assert hq.heard == [(topics.up(OTHER, Lane.BILL), b"bill"), (topics.status(OTHER), b"status")]


async def test_the_worker_cannot_speak_for_a_station(broker: Mosquitto) -> None:
    await broker.start()
    async with (
        peer(broker.worker_login(), topics.WORKER_UPLINKS, topics.ALL_STATUS) as hq,
        peer(broker.login()) as station,
    ):
        for topic in (topics.up(STATION, Lane.BILL), topics.status(STATION), f"vw/1/{WORKER}/up/x"):
            await hq.say(topic, b"forged", retain=True)
        await station.say(topics.status(STATION), LAST)
        await hq.told_last()
    assert hq.heard == []


async def test_nobody_gets_in_without_the_right_secret(broker: Mosquitto) -> None:
    await broker.start()
    for changes in (
        {"username": "", "password": ""},
        {"password": "wrong"},
        {"password": broker.secrets[OTHER]},
        {"username": "ST-99"},
        {"username": WORKER, "password": broker.secrets[STATION]},
    ):
        with pytest.raises(MqttError, match="Not authorized"):
            async with peer(broker.login(**changes)):
                pass
    login = broker.worker_login()
    with pytest.raises(MqttError, match="Not authorized"):
        async with peer(Broker(login.host, login.port, "", "")):
            pass


async def test_a_station_cannot_end_anothers_connection(broker: Mosquitto) -> None:
    await broker.start()
    async with (
        peer(broker.worker_login()) as hq,
        peer(broker.login(), topics.all_down(STATION), identifier=STATION) as victim,
        peer(broker.login(OTHER), identifier=STATION),
    ):
        await hq.say(topics.down_ack(STATION), LAST)
        await victim.told_last()


async def test_a_refused_station_shows_why_and_gets_in_once_it_is_known(
    tmp_path: Path, broker: Mosquitto
) -> None:
    await broker.start()
    station = Station(tmp_path, broker, broker.login(password="wrong"))

    def refusals() -> int:
        return broker.log.count("not authorised")

    async with running(asyncio.create_task(station.link.run())):
        await station.until(lambda: "Not authorized" in station.link.state.last_error)
        some = refusals()
        await station.until(lambda: refusals() >= some + 2)
        assert not station.link.connected
        await broker.change(files.shut_out(STATION))
        await broker.let_in(STATION, "wrong")  # which is the right one from now on
        await station.until(lambda: station.link.connected)
        # And nobody else was disconnected or restarted: it is the same broker process.
        await broker.change(files.shut_out(STATION))
        await station.until(lambda: not station.link.connected)
    await station.close()
