"""No bytes whatever make a conversation raise, or lose a good frame between bad ones."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.devices.chargers import reports, wishes
from edge.devices.chargers.reports import Moment
from edge.devices.chargers.ykc import messages
from edge.devices.chargers.ykc.connection import YkcConnection
from edge.devices.chargers.ykc.frames import Frame
from shared.contracts.commands import ChargePointConfig
from tests.component.gateway_support import HELD, NUMBER, ZONE, frame, login, realtime

_KINDS = sorted(messages.MESSAGES)
_NUMBER = bytes.fromhex(NUMBER)


def _logged_in() -> YkcConnection:
    connection = YkcConnection(1, "10.0.0.1", ZONE)
    now = Moment(1_795_332_202_000, 1.0)
    connection.receive(frame(login()), now)
    connection.wish(
        wishes.DecideLogin(
            charge_point_no=NUMBER,
            link_id=1,
            accepted=True,
            config=ChargePointConfig(charge_point_no=NUMBER),
            tariff=HELD,
        ),
        now,
    )
    return connection


@st.composite
def _frames(draw: st.DrawFn) -> bytes:
    """Any body under a right checksum, mostly of a right size and naming a right number."""
    kind = draw(st.sampled_from(_KINDS))
    size = messages.MESSAGES[kind].LAYOUT.size
    exact = draw(st.booleans())
    body = draw(st.binary(min_size=size, max_size=size) if exact else st.binary(max_size=200))
    at = draw(st.sampled_from([0, 16, None]))
    if at is not None:
        body = body[:at] + _NUMBER + body[at + len(_NUMBER) :]
    encryption = draw(st.sampled_from([0, 0, 0, 1]))
    sequence = draw(st.binary(min_size=2, max_size=2))
    return Frame(kind, body, sequence, encryption).build()


_input = st.lists(st.one_of(_frames(), st.binary(max_size=300)), max_size=20)


@settings(max_examples=300, deadline=None)
@given(pieces=_input, step_s=st.floats(0, 40))
def test_nothing_raises(pieces: list[bytes], step_s: float) -> None:
    connection = _logged_in()
    now_s = 2.0
    for piece in pieces:
        now_s += step_s
        now = Moment(1_795_332_202_000 + int(now_s * 1000), now_s)
        for report in connection.receive(piece, now).reports:
            if isinstance(report, reports.RecordReceived):
                connection.committed(report.token, now)
        connection.tick(now)
    connection.lost("closed", now=Moment(1_795_332_202_000, now_s))
    assert connection.charge_point_nos() == ()


# Without a start byte: one in the noise may hold what follows back for up to a second.
_noise = st.binary(max_size=40).map(lambda raw: raw.replace(b"\x68", b"\x67"))


@settings(max_examples=100, deadline=None)
@given(
    noise=st.lists(
        st.binary(max_size=40).map(lambda raw: raw.replace(b"\x68", b"\x67")), max_size=6
    ),
    cuts=st.lists(st.integers(1, 60), max_size=40),
)
def test_good_frames_survive_noise_and_any_cutting(noise: list[bytes], cuts: list[int]) -> None:
    connection = _logged_in()
    good = frame(realtime())
    stream = good + b"".join(each + good for each in noise)
    now = Moment(1_795_332_202_000, 2.0)
    found = []
    position = 0
    for cut in [*cuts, len(stream)]:
        found += connection.receive(stream[position : position + cut], now).reports
        position += cut
    samples = [each for each in found if isinstance(each, reports.ConnectorSampled)]
    assert len(samples) == len(noise) + 1
