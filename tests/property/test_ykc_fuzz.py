"""Ten million hostile bytes through reader, parser and conversation: no exception, bounded state.

Half of them are valid frames with changed bodies under a right checksum.
"""

from __future__ import annotations

import random

from edge.devices.chargers import reports, wishes
from edge.devices.chargers.reports import Moment
from edge.devices.chargers.timing import Timing
from edge.devices.chargers.ykc import messages
from edge.devices.chargers.ykc.connection import YkcConnection
from edge.devices.chargers.ykc.frames import Frame
from shared.contracts.commands import ChargePointConfig
from tests.component.gateway_support import HELD, NUMBER, ZONE, frame, login

TOTAL_BYTES = 10_000_000
_NUMBER = bytes.fromhex(NUMBER)
_PATIENT = Timing(bad_frames_per_min=1 << 30)


def _hostile(rng: random.Random) -> bytes:
    if rng.random() < 0.5:
        return rng.randbytes(rng.randrange(1, 160))
    kind = rng.choice(list(messages.MESSAGES)) if rng.random() < 0.95 else rng.randrange(256)
    known = messages.MESSAGES.get(kind)
    size = known.LAYOUT.size if known else rng.randrange(200)
    if rng.random() < 0.2:
        size = rng.randrange(250)
    body = bytearray(rng.randbytes(size))
    at = rng.choice((0, 16))
    if len(body) >= at + 7:
        body[at : at + 7] = _NUMBER
        if len(body) > at + 7 and rng.random() < 0.8:
            body[at + 7] = rng.choice((1, 2))
    return Frame(kind, bytes(body), rng.randbytes(2), int(rng.random() < 0.05)).build()


def test_ten_million_hostile_bytes() -> None:
    rng = random.Random(20261122)
    connection = YkcConnection(1, "10.0.0.1", ZONE, _PATIENT)
    config = ChargePointConfig(charge_point_no=NUMBER, silence_limit_s=600)
    fed = round_no = 0
    seen: set[type] = set()
    while fed < TOTAL_BYTES:
        round_no += 1
        now = Moment(1_795_332_202_000 + round_no * 10, round_no * 0.01)
        if round_no % 500 == 1:
            connection.receive(frame(login()), now)
            connection.wish(
                wishes.DecideLogin(
                    charge_point_no=NUMBER, link_id=1, accepted=True, config=config, tariff=HELD
                ),
                now,
            )
        data = b"".join(_hostile(rng) for _ in range(rng.randrange(1, 6)))
        out = connection.receive(data, now)
        fed += len(data)
        for report in out.reports:
            seen.add(type(report))
            if isinstance(report, reports.RecordReceived):
                connection.committed(report.token, now)
        if round_no % 50 == 0:
            connection.tick(now)
    assert {reports.ConnectorSampled, reports.RecordReceived, reports.BmsSampled} <= seen
    assert NUMBER in connection.charge_point_nos()
