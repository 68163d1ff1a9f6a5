"""The link layer: finding frames in a stream, both CRC orders, incomplete frames and noise."""

from __future__ import annotations

import pytest

from edge.devices.chargers.ykc import frames
from edge.devices.chargers.ykc.frames import Frame, FrameReader, Garbage

HEARTBEAT = bytes.fromhex("680d02000004320102000000010100ba41")
HIGH_FIRST = bytes.fromhex("680d25d30003202312120000100100d1ac")


def test_crc_is_modbus_low_byte_first() -> None:
    frame = Frame(ord("4"), b"56789", b"12", ord("3"))  # counted bytes: 123456789
    assert frame.build() == b"\x68\x09123456789\x37\x4b"


def test_both_crc_orders_are_read_and_kept() -> None:
    [low] = FrameReader().feed(HEARTBEAT)
    [high] = FrameReader().feed(HIGH_FIRST)
    assert isinstance(low, Frame)
    assert isinstance(high, Frame)
    assert (low.crc_order, high.crc_order) == ("low_first", "high_first")
    assert (low.build(), high.build()) == (HEARTBEAT, HIGH_FIRST)


def test_sequence_and_encryption_are_verbatim() -> None:
    raw = Frame(0x77, b"\x68\x68", b"\xfe\x01", 0x81).build()
    [frame] = FrameReader().feed(raw)
    assert isinstance(frame, Frame)
    assert (frame.sequence, frame.encryption, frame.body) == (b"\xfe\x01", 0x81, b"\x68\x68")


def test_raw_is_no_part_of_equality() -> None:
    [frame] = FrameReader().feed(HEARTBEAT)
    assert isinstance(frame, Frame)
    made = Frame(frame.kind, frame.body, frame.sequence)
    assert made == frame
    assert hash(made) == hash(frame)
    assert (made.raw, frame.raw) == (b"", HEARTBEAT)
    assert frame != "frame"


@pytest.mark.parametrize("size", range(1, len(HEARTBEAT)))
def test_frame_in_two_pieces(size: int) -> None:
    reader = FrameReader()
    assert reader.feed(HEARTBEAT[:size]) == []
    [frame] = reader.feed(HEARTBEAT[size:])
    assert isinstance(frame, Frame)
    assert frame.raw == HEARTBEAT
    assert reader.pending == b""


def test_many_frames_in_one_piece() -> None:
    found = FrameReader().feed(HEARTBEAT * 3 + HIGH_FIRST + HEARTBEAT[:3])
    assert [item.raw for item in found if isinstance(item, Frame)] == [HEARTBEAT] * 3 + [HIGH_FIRST]


def test_touching_garbage_is_one_item_with_its_first_reason() -> None:
    found = FrameReader().feed(b"\x00\xff\x68\x03" + HEARTBEAT)
    assert found[0] == Garbage(b"\x00\xff\x68\x03", frames.NO_START)
    assert isinstance(found[1], Frame)


def test_length_below_header_is_dropped() -> None:
    found = FrameReader().feed(b"\x68\x03" + HEARTBEAT)
    assert found[0] == Garbage(b"\x68\x03", frames.SHORT_LENGTH)


def test_frame_inside_a_bad_one_is_found() -> None:
    claimed = b"\x68\x1e\x00\x00" + HEARTBEAT
    found = FrameReader().feed(claimed.ljust(0x1E + 4, b"\x00"))
    assert found[0] == Garbage(b"\x68\x1e\x00\x00", frames.BAD_CRC)
    assert isinstance(found[1], Frame)
    assert found[1].raw == HEARTBEAT


def test_smallest_and_largest_frame() -> None:
    smallest, largest = Frame(0x09, b"").build(), Frame(0x09, bytes(251)).build()
    assert (len(smallest), len(largest)) == (8, frames.MAX_FRAME_SIZE)
    found = FrameReader().feed(smallest + largest)
    assert [len(item.body) for item in found if isinstance(item, Frame)] == [0, 251]


@pytest.mark.parametrize(
    "frame",
    [
        Frame(0x09, bytes(252)),
        Frame(0x09, b"", b"\x00"),
        Frame(0x109, b""),
        Frame(0x09, b"", b"\x00\x00", 256),
    ],
)
def test_impossible_frame_is_not_built(frame: Frame) -> None:
    with pytest.raises(ValueError, match=r".+"):
        frame.build()


def test_old_incomplete_frame_gives_way_to_the_one_inside() -> None:
    reader = FrameReader()
    # A start byte in noise claims 255 bytes and would swallow the heartbeat behind it.
    assert reader.feed(b"\x68\xff" + HEARTBEAT, 10.0) == []
    assert reader.expire(10.9) == []
    dropped, frame = reader.expire(11.0)
    assert dropped == Garbage(b"\x68\xff", frames.INCOMPLETE)
    assert isinstance(frame, Frame)
    assert reader.pending == b""


def test_age_counts_from_the_start_byte_however_slowly_bytes_come() -> None:
    reader = FrameReader()
    for count, byte in enumerate(HEARTBEAT[:-1]):
        found = reader.feed(bytes((byte,)), 10.0 + count * 0.1)
        if found:
            break
    assert found == [Garbage(HEARTBEAT[: count + 1], frames.INCOMPLETE)]
    assert count == 10


def test_late_end_still_completes_a_frame() -> None:
    reader = FrameReader()
    reader.feed(HEARTBEAT[:5], 10.0)
    [frame] = reader.feed(HEARTBEAT[5:], 20.0)
    assert isinstance(frame, Frame)


def test_new_start_is_young_again() -> None:
    reader = FrameReader()
    reader.feed(HEARTBEAT[:5], 10.0)
    [frame] = reader.feed(HEARTBEAT[5:] + HEARTBEAT[:5], 10.9)
    assert isinstance(frame, Frame)
    assert reader.expire(11.5) == []
    assert reader.expire(11.9) == [Garbage(HEARTBEAT[:5], frames.INCOMPLETE)]


def test_without_a_clock_nothing_grows_old() -> None:
    reader = FrameReader()
    reader.feed(HEARTBEAT[:5])
    assert reader.feed(b"") == []
    assert reader.pending == HEARTBEAT[:5]


def test_buffer_is_bounded() -> None:
    reader = FrameReader()
    for _ in range(100):
        reader.feed(b"\x68\xff" * 500)
        assert len(reader.pending) < frames.MAX_FRAME_SIZE


def test_close_returns_what_is_left() -> None:
    reader = FrameReader()
    reader.feed(b"\x68\xff" + HEARTBEAT + b"\x68\x20\x01", 10.0)
    first, frame, last = reader.close()
    assert isinstance(frame, Frame)
    assert (first, last) == (
        Garbage(b"\x68\xff", frames.INCOMPLETE),
        Garbage(b"\x68\x20\x01", frames.INCOMPLETE),
    )
    assert reader.pending == b""
    assert reader.close() == []
