"""Ten million bytes of every bad kind through reader, parser, conversation and the station's books.

Half of them are valid frames with changed bodies under a right checksum: the rest of a charge
point's words, so to say, and the only half that reaches the deeper code.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from random import Random

import pytest

from edge.bus import EventBus
from edge.devices.chargers.protocol import Received
from edge.devices.chargers.reports import AnyReport
from edge.devices.chargers.wishes import AnyWish, DecideLogin
from edge.devices.chargers.ykc import messages
from edge.devices.chargers.ykc.connection import YkcConnection
from edge.devices.chargers.ykc.frames import Frame
from edge.journal import Journal
from edge.safety.ladder import Rungs
from edge.station.access import Caps
from edge.station.core import Station
from edge.station.timing import NORMAL
from shared.clock import ScaledClock
from shared.contracts.commands import ChargePointConfig
from shared.contracts.telemetry import Sample, pack_samples, unpack_samples
from tests.component.gateway_support import NUMBER, ZONE, frame, login

BYTES = 10_000_000
_NUMBER = bytes.fromhex(NUMBER)
_SIZES = {kind: message.LAYOUT.size for kind, message in messages.MESSAGES.items()}
_UPLINK = sorted(kind for kind, message in messages.MESSAGES.items() if message.UPLINK)
_CORPUS_EVERY = 20
"""One chunk in so many is a login, so that the conversation does not end with the first close."""


class _OnePeer:
    """A gateway with one connection and no socket, reports published as the real one does."""

    def __init__(self, station: Station, bus: EventBus[AnyReport]) -> None:
        self._station = station
        self._bus = bus
        self._link_id = 0
        self.frames = 0
        self.links = 0
        self.renew()

    def renew(self) -> None:
        """Begin a new conversation, as after a reconnection."""
        self._link_id += 1
        self.links += 1
        self.connection = YkcConnection(self._link_id, "10.0.0.1", ZONE)

    def feed(self, data: bytes) -> None:
        """Take in bytes from the peer."""
        self._carry(self.connection.receive(data, self._station.now()))

    def tick(self) -> None:
        """Let time pass."""
        self._carry(self.connection.tick(self._station.now()))

    def send(self, wish: AnyWish) -> bool:
        """Carry out a wish."""
        self._carry(self.connection.wish(wish, self._station.now()))
        return True

    def decide_login(self, wish: DecideLogin) -> bool:
        """Answer a login."""
        return self.send(wish)

    def confirm(self, charge_point_no: str, token: int) -> bool:
        """Confirm a record."""
        del charge_point_no
        self._carry(self.connection.committed(token, self._station.now()))
        return True

    def _carry(self, received: Received) -> None:
        self.frames += len(received.frames)
        for report in received.reports:
            self._bus.publish(report)
        if received.close_reason:
            lost = self.connection.lost(received.close_reason, self._station.now())
            for report in lost.reports:
                self._bus.publish(report)
            self.renew()


def _valid_with_changed_body(random: Random) -> bytes:
    kind = random.choice(_UPLINK)
    size = _SIZES[kind] if random.random() < 0.8 else random.randrange(0, 250)
    body = bytearray(random.randbytes(size))
    if random.random() < 0.9:
        at = random.choice((0, 16))
        body[at : at + 7] = _NUMBER
        if at == 16 and len(body) > 23:
            body[23] = random.choice((1, 1, 2, 0x99, 0xFF))
    if random.random() < 0.3:
        body[:16] = random.choice((bytes(16), _NUMBER + bytes(9)))
    order = "high_first" if random.random() < 0.1 else "low_first"
    return Frame(kind, bytes(body[:250]), random.randbytes(2), 0, order).build()


def _chunk(random: Random) -> bytes:
    chosen = random.random()
    if chosen < 0.5:
        return _valid_with_changed_body(random)
    if chosen < 0.6:
        return b"\x68" + random.randbytes(random.randrange(0, 120))
    if chosen < 0.75:
        broken = bytearray(_valid_with_changed_body(random))
        broken[random.randrange(len(broken))] ^= 1 << random.randrange(8)
        return bytes(broken)
    return random.randbytes(random.randrange(1, 200))


async def _run(folder: Path, samples: list[Sample]) -> tuple[int, _OnePeer, dict[str, int]]:
    clock = ScaledClock(0, 1_795_332_202_000, 1.0)
    journal = Journal.open(folder / "station.db", clock)
    station = Station(
        station_no="FUZZ",
        version="0",
        clock=clock,
        zone_name="Asia/Shanghai",
        journal=journal,
        add_sample=samples.append,
        timing=NORMAL,
        rungs=Rungs(),
        caps=Caps(10_000, 1_000_000),
        local_charge_points=(ChargePointConfig(charge_point_no=NUMBER, connector_count=2),),
        local_tariff=None,
        hq_reachable=lambda: False,
        fetch_frames=lambda _file, _first, _last: b"",
    )
    bus: EventBus[AnyReport] = EventBus(clock)
    peer = _OnePeer(station, bus)
    station.connect(peer, bus)
    random, fed, chunks = Random(20261122), 0, 0
    while fed < BYTES:
        if chunks % _CORPUS_EVERY == 0:
            peer.feed(frame(login()))
        data = _chunk(random)
        cut = random.randrange(len(data) + 1)
        peer.feed(data[:cut])
        peer.feed(data[cut:])
        fed, chunks = fed + len(data), chunks + 1
        if chunks % 500 == 0:
            peer.tick()
            station.tick()
            await asyncio.sleep(0)
        if len(samples) > 1000:
            # Whatever came of it must also fit the contract with HQ.
            assert len(unpack_samples(pack_samples(samples))) == len(samples)
            samples.clear()
    await journal.close()
    return fed, peer, bus.failures()


@pytest.mark.timeout(300)
def test_ten_million_bytes_end_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    fed, peer, failures = asyncio.run(_run(tmp_path, []))
    assert fed >= BYTES
    assert peer.frames > 20_000, "the fuzzer must reach the conversation"
    assert not any(failures.values()), caplog.text[:5000]
