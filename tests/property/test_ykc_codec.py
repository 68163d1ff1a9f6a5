"""What holds for any bytes and any message of the YKC codec."""

from __future__ import annotations

from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.devices.chargers.ykc import messages
from edge.devices.chargers.ykc.decode import decode_bytes, decode_lines, fields_of
from edge.devices.chargers.ykc.dialect import DIALECTS, Dialect
from edge.devices.chargers.ykc.fields import Codec, Cp56Time
from edge.devices.chargers.ykc.frames import (
    INCOMPLETE_LIMIT_S,
    MAX_BODY_SIZE,
    MAX_FRAME_SIZE,
    Frame,
    FrameReader,
    Garbage,
    split,
)
from shared.errors import MalformedMessageError

KINDS = sorted(messages.MESSAGES)
DIALECT = st.sampled_from(list(DIALECTS.values()))
# A dialect that takes every tail, so that vendor tails are tried on every kind.
EVERY_TAIL = Dialect("every_tail", long_bodies=frozenset(KINDS))

times = st.builds(
    Cp56Time,
    *(st.integers(0, top) for top in (0xFFFF, 0x3F, 0x1F, 0x1F, 0x0F, 0x7F, 7)),
    st.booleans(),
    st.booleans(),
    st.integers(0, 0xFF),
)


def digits(size: int) -> st.SearchStrategy[str]:
    return st.binary(min_size=size, max_size=size).map(bytes.hex)


def value_of(codec: Codec) -> st.SearchStrategy[Any]:
    """Return every value that a field of this wire type can have."""
    match codec.what:
        case "uint":
            return st.integers(0, (1 << 8 * codec.size) - 1)
        case "bcd":
            return st.integers(0, 99)
        case "hex":
            return digits(codec.size)
        case "octets":
            return st.binary(min_size=codec.size, max_size=codec.size)
        case "text":
            # Zero bytes at the end are the padding and not part of the text.
            latin = st.text(st.characters(max_codepoint=0xFF), max_size=codec.size)
            return latin.map(lambda text: text.rstrip("\0"))
        case "time":
            return times
    raise AssertionError(f"no strategy for {codec.what}")


BYTE = st.integers(0, 0xFF)
cleared_cards = st.one_of(
    st.lists(st.builds(messages.ClearedCard, digits(8), BYTE, BYTE), max_size=24),
    # From ten cards on the two layouts cannot be told apart; see the class.
    st.lists(st.builds(messages.ClearedCard, digits(8), st.none(), BYTE), max_size=9),
)
VARIABLE: dict[str, st.SearchStrategy[Any]] = {
    "OfflineCardsSync.cards": st.lists(
        st.builds(messages.OfflineCard, digits(8), digits(8)), max_size=15
    ).map(tuple),
    "OfflineCardsClear.physical_cards": st.lists(digits(8), max_size=30).map(tuple),
    "OfflineCardsQuery.physical_cards": st.lists(digits(8), max_size=30).map(tuple),
    "OfflineCardsClearAnswer.cards": cleared_cards.map(tuple),
    "OfflineCardsQueryAnswer.cards": st.lists(
        st.builds(messages.QueriedCard, digits(8), BYTE), max_size=27
    ).map(tuple),
    "QrPrefix.prefix": st.text(st.characters(max_codepoint=0xFF), max_size=242),
}
UNCOUNTED = {0x45, 0x47}  # the size of the body is their count, so they have no tail


def any_message(kind: int) -> st.SearchStrategy[messages.Message]:
    message = messages.MESSAGES[kind]
    fields: dict[str, st.SearchStrategy[Any]] = {}
    for name, hint in get_type_hints(message, include_extras=True).items():
        if name not in message.__struct_fields__:
            continue
        codec = next((arg for arg in get_args(hint) if isinstance(arg, Codec)), None)
        if codec is not None:
            fields[name] = value_of(codec)
        elif name != "tail":
            fields[name] = VARIABLE[f"{message.__name__}.{name}"]
        elif kind not in UNCOUNTED:
            fields[name] = st.binary(max_size=8)
    return st.builds(message, **fields)


frames = st.builds(
    Frame,
    BYTE,
    st.binary(max_size=MAX_BODY_SIZE),
    st.binary(min_size=2, max_size=2),
    BYTE,
    st.sampled_from(["low_first", "high_first"]),
)


def canonical(frame: Frame) -> Frame:
    """Return `frame` as read back: with two equal CRC bytes the order is low first."""
    raw = frame.build()
    if raw[-1] == raw[-2]:
        return Frame(frame.kind, frame.body, frame.sequence, frame.encryption)
    return frame


def in_pieces(reader: FrameReader, data: bytes, cuts: list[int]) -> list[Frame | Garbage]:
    found: list[Frame | Garbage] = []
    start = 0
    for cut in [*sorted(cut % (len(data) + 1) for cut in cuts), len(data)]:
        found += reader.feed(data[start:cut])
        start = cut
    return found


def data_of(found: list[Frame | Garbage]) -> bytes:
    return b"".join(i.raw if isinstance(i, Frame) else i.data for i in found)


@pytest.mark.parametrize("kind", KINDS, ids=hex)
def test_every_message_round_trips(kind: int) -> None:
    @settings(max_examples=30, deadline=None)
    @given(any_message(kind))
    def check(message: messages.Message) -> None:
        body = message.build()
        again = type(message).parse(body, EVERY_TAIL)
        assert again == message
        assert again.build() == body
        assert set(message.__struct_fields__) - {"tail"} <= set(fields_of(message))

    check()


@pytest.mark.parametrize("kind", KINDS, ids=hex)
def test_accepted_bodies_rebuild_and_others_are_malformed(kind: int) -> None:
    """Fields hold everything: whatever body is accepted is rebuilt byte for byte."""
    message = messages.MESSAGES[kind]
    right_size = st.binary(min_size=message.LAYOUT.size, max_size=message.LAYOUT.size)

    @settings(max_examples=40, deadline=None)
    @given(
        st.one_of(right_size, st.binary(max_size=300)),
        st.sampled_from([*DIALECTS.values(), EVERY_TAIL]),
    )
    def check(body: bytes, dialect: Dialect) -> None:
        try:
            parsed = messages.parse(kind, body, dialect)
        except MalformedMessageError:
            return
        if parsed is not None:
            assert parsed.build() == body
            fields_of(parsed)

    check()


@given(kind=BYTE, body=st.binary(max_size=300), dialect=DIALECT)
@settings(deadline=None)
def test_parse_raises_nothing_else(kind: int, body: bytes, dialect: Dialect) -> None:
    try:
        message = messages.parse(kind, body, dialect)
    except MalformedMessageError:
        return
    assert (message is None) or message.build() == body


@given(st.lists(frames, max_size=6), st.lists(st.integers(0, 2000), max_size=12))
@settings(deadline=None)
def test_frames_survive_any_chunking(sent: list[Frame], cuts: list[int]) -> None:
    data = b"".join(frame.build() for frame in sent)
    reader = FrameReader()
    found = in_pieces(reader, data, cuts)
    assert found == [canonical(frame) for frame in sent]
    assert data_of(found) == data
    assert reader.pending == b""


@given(st.binary(max_size=600), st.lists(st.integers(0, 2000), max_size=12))
@settings(deadline=None)
def test_noise_is_kept_whole_and_bounded(data: bytes, cuts: list[int]) -> None:
    reader = FrameReader()
    found = in_pieces(reader, data, cuts)
    assert data_of(found) + reader.pending == data
    assert len(reader.pending) < MAX_FRAME_SIZE
    assert data_of(found + reader.close()) == data


@given(
    st.lists(st.one_of(frames, st.binary(max_size=40)), max_size=8),
    st.lists(st.integers(0, 3000), max_size=12),
)
@settings(deadline=None)
def test_chunks_do_not_change_which_frames_are_found(
    parts: list[Frame | bytes], cuts: list[int]
) -> None:
    data = b"".join(part.build() if isinstance(part, Frame) else part for part in parts)
    whole, rest = split(data)
    reader = FrameReader()
    found = in_pieces(reader, data, cuts)
    assert [i for i in found if isinstance(i, Frame)] == [i for i in whole if isinstance(i, Frame)]
    assert data_of(found) + reader.pending == data == data_of(whole) + rest


@given(st.binary(max_size=300).filter(lambda noise: b"\x68" not in noise), frames)
@settings(deadline=None)
def test_frame_after_noise_without_a_start_byte_is_found(noise: bytes, frame: Frame) -> None:
    found = FrameReader().feed(noise + frame.build())
    assert found[-1] == canonical(frame)
    assert data_of(found[:-1]) == noise


@given(st.binary(max_size=300), frames)
@settings(deadline=None)
def test_frame_after_any_noise_is_found_once_the_noise_is_old(noise: bytes, frame: Frame) -> None:
    """A false start may swallow the frame, but not for longer than a second."""
    reader = FrameReader()
    data = noise + frame.build()
    found = reader.feed(data, 0.0)
    found += reader.expire(INCOMPLETE_LIMIT_S)
    found += reader.feed(b"", 2 * INCOMPLETE_LIMIT_S)
    assert data_of(found) + reader.pending == data
    raw = frame.build()
    overlaps = any(isinstance(i, Frame) and i.raw != raw for i in found)
    assert overlaps or canonical(frame) in found


@given(frames, st.integers(1, 300))
@settings(deadline=None)
def test_truncated_frame_is_never_accepted(frame: Frame, lost: int) -> None:
    raw = frame.build()[:-lost]
    reader = FrameReader()
    found = reader.feed(raw)
    assert frame not in found
    assert data_of(found) + reader.pending == raw


@given(frames, st.data())
@settings(deadline=None)
def test_changed_byte_is_never_accepted_as_the_frame(frame: Frame, data: st.DataObject) -> None:
    raw = bytearray(frame.build())
    position = data.draw(st.integers(0, len(raw) - 1))
    raw[position] ^= data.draw(st.integers(1, 0xFF))
    assert canonical(frame) not in FrameReader().feed(bytes(raw))


@given(st.lists(st.one_of(frames.map(Frame.build), st.binary(max_size=40)), max_size=5), DIALECT)
@settings(deadline=None)
def test_decode_names_every_byte(parts: list[bytes], dialect: Dialect) -> None:
    data = b"".join(parts)
    items = list(decode_bytes(data, dialect))
    assert items == list(decode_lines([data.hex()], dialect))
    frames_found = [item for item in items if item.get("crc") in ("low_first", "high_first")]
    assert len(frames_found) >= len([i for i in split(data)[0] if isinstance(i, Frame)])
    garbage = sum(len(item["garbage"]) // 2 for item in items if "garbage" in item)
    assert garbage <= len(data)


@given(st.lists(st.text(max_size=60), max_size=5), DIALECT)
@settings(deadline=None)
def test_decode_takes_any_text(lines: list[str], dialect: Dialect) -> None:
    for item in decode_lines(lines, dialect):
        assert "kind" in item or set("".join(item["garbage"])) <= set("0123456789abcdefABCDEF")


@given(times)
@settings(deadline=None)
def test_time_round_trips(time: Cp56Time) -> None:
    assert Cp56Time.parse(time.build()) == time


@given(st.binary(min_size=7, max_size=7))
@settings(deadline=None)
def test_any_seven_bytes_are_a_time(raw: bytes) -> None:
    assert Cp56Time.parse(raw).build() == raw
