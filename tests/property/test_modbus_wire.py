"""Whatever a line carries, a request yields the device's own values or none."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU

from edge.devices.sensors.lines import LineConfig, Transport
from edge.devices.sensors.profile import Table
from edge.devices.sensors.wire import NoAnswerError, Wire
from shared.errors import DeviceRefusedError

UNIT, ADDRESS, VALUES = 7, 10, [0x1234, 0x8001]
ANSWER = bytes([4, 4, 0x12, 0x34, 0x80, 0x01])
PATIENCE_S = 0.004
FRAME_MAX = 260


class Line(asyncio.Transport):
    """Plays back chunks when something is sent; `#` in a chunk stands for the true answer."""

    def __init__(self, wire: Wire, chunks: list[bytes], config: LineConfig) -> None:
        super().__init__()
        self._wire, self._chunks = wire, chunks
        decoder = DecodePDU(is_server=False)
        self._framer = FramerSocket(decoder) if config.has_numbers else FramerRTU(decoder)
        self._number = 0

    def write(self, data: bytes) -> None:  # type: ignore[override] # bytes are all it gets
        self._number += 1
        loop = asyncio.get_running_loop()
        for chunk in self._chunks:
            frame = self._framer.encode(ANSWER, UNIT, self._number)
            loop.call_soon(self._wire.data_received, frame if chunk == b"#" else chunk)

    def close(self) -> None:
        self._wire.connection_lost(None)


def config(rtu: bool) -> LineConfig:
    transport = Transport.RTU_OVER_TCP if rtu else Transport.TCP
    return LineConfig(name="a", transport=transport, host="h", baud=115200)


async def ask(chunks: list[bytes], rtu: bool) -> list[int] | str:
    wire = Wire(config(rtu), lambda reason: None)
    wire.connection_made(Line(wire, chunks, config(rtu)))
    try:
        return await wire.read(UNIT, Table.INPUT, ADDRESS, len(VALUES), PATIENCE_S)
    except NoAnswerError:
        return "silent"
    except DeviceRefusedError:
        return "refused"
    finally:
        wire.close()


# Bytes that frames are made of, so that noise comes near to being one.
NEAR = st.lists(
    st.sampled_from([0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 0x84, 0xFF]) | st.integers(0, 255), max_size=24
).map(bytes)


@given(chunks=st.lists(NEAR | st.just(b"#"), max_size=5), rtu=st.booleans())
@settings(max_examples=300, deadline=None)
def test_noise_is_never_a_value(chunks: list[bytes], rtu: bool) -> None:
    said = asyncio.run(ask(chunks, rtu))

    assert said in (VALUES, "silent", "refused")
    if b"#" not in chunks:
        assert said != VALUES
    if [chunk for chunk in chunks if chunk][:1] == [b"#"]:
        assert said == VALUES


@given(cut=st.integers(0, 20), rtu=st.booleans())
@settings(max_examples=60, deadline=None)
def test_an_answer_may_come_in_pieces(cut: int, rtu: bool) -> None:
    framer = (FramerRTU if rtu else FramerSocket)(DecodePDU(is_server=False))
    frame = framer.encode(ANSWER, UNIT, 1)

    assert asyncio.run(ask([frame[:cut], frame[cut:]], rtu)) == VALUES


@given(
    babble=st.binary(min_size=1, max_size=40),
    rtu=st.booleans(),
)
@settings(max_examples=20, deadline=None)
def test_a_line_that_babbles_without_end_fills_no_memory(babble: bytes, rtu: bool) -> None:
    async def babbles() -> int:
        wire = Wire(config(rtu), lambda reason: None)
        wire.connection_made(Line(wire, [], config(rtu)))
        most = 0
        for _ in range(1200 // len(babble)):  # nobody asks anything meanwhile
            wire.data_received(babble)
            most = max(most, len(wire._buffer))
        wire.close()
        return most

    assert asyncio.run(babbles()) <= FRAME_MAX + len(babble)
