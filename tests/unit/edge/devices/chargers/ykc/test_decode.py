"""Hex in, objects out: frames, streams, wrong checksums, log lines, garbage."""

from __future__ import annotations

import json

from edge.devices.chargers.ykc.decode import decode_bytes, decode_lines, is_good
from edge.devices.chargers.ykc.dialect import DIALECTS
from edge.devices.chargers.ykc.frames import Frame

LOGIN_ANSWER = "680c000000025503141278230500da4c"
HIGH_FIRST = "680d25d30003202312120000100100d1ac"
BAD = "680d000100033201020000000101006890"


def test_one_frame() -> None:
    [item] = decode_lines([LOGIN_ANSWER])
    assert item == {
        "kind": "0x02",
        "name": "login answer",
        "crc": "low_first",
        "sequence": "0000",
        "encryption": 0,
        "fields": {"charge_point_no": "55031412782305", "result": 0},
    }
    assert is_good(item)


def test_stream_in_a_line_keeps_order_and_garbage() -> None:
    items = list(decode_lines([f"ff00{LOGIN_ANSWER}{HIGH_FIRST}00 6822"]))
    assert items[0] == {"garbage": "ff00", "reason": "no start byte"}
    assert [item["crc"] for item in items[1:3]] == ["low_first", "high_first"]
    assert items[3] == {"garbage": "006822", "reason": "no start byte"}
    assert [is_good(item) for item in items] == [False, True, True, False]


def test_wrong_crc_with_fitting_length_shows_its_fields() -> None:
    bad, good = decode_lines([BAD + LOGIN_ANSWER])
    assert (bad["kind"], bad["crc"], bad["fields"]["connector_no"]) == ("0x03", "bad", 1)
    assert good["crc"] == "low_first"
    assert not is_good(bad)


def test_wrong_crc_without_fitting_length_is_garbage() -> None:
    [item] = decode_lines([BAD + "00"])
    assert item == {"garbage": BAD + "00", "reason": "bad crc"}


def test_good_frame_inside_a_bad_one_wins() -> None:
    inside = bytes.fromhex("681e0000" + LOGIN_ANSWER).ljust(0x1E + 4, b"\x00")
    garbage, frame, rest = decode_bytes(inside)
    assert (garbage["garbage"], garbage["reason"]) == ("681e0000", "bad crc")
    assert frame["kind"] == "0x02"
    assert set(rest["garbage"]) == {"0"}


def test_cut_frame_is_garbage() -> None:
    assert list(decode_lines([LOGIN_ANSWER[:-2]])) == [
        {"garbage": LOGIN_ANSWER[:-2], "reason": "incomplete frame"}
    ]


def test_frame_log_line() -> None:
    line = f"2026-11-22T14:03:22.123456+08:00 > {LOGIN_ANSWER}"
    [item] = decode_lines([line])
    assert item["at"] == "2026-11-22T14:03:22.123456+08:00"
    assert item["direction"] == "out"
    assert is_good(item)
    [marked] = decode_lines([line + " redacted"])
    assert marked["mark"] == "redacted"
    [garbage] = decode_lines(["2026-11-22T14:03:22.123456+08:00 ! ff"])
    assert (garbage["garbage"], garbage["direction"]) == ("ff", "garbage")


def test_layout_of_the_text_does_not_matter() -> None:
    spaced = " ".join(LOGIN_ANSWER[i : i + 2] for i in range(0, len(LOGIN_ANSWER), 2)).upper()
    expected = list(decode_lines([LOGIN_ANSWER]))
    assert list(decode_lines([spaced + "\r\n", "", "# note"])) == expected
    assert list(decode_lines(["0x" + LOGIN_ANSWER])) == expected
    assert list(decode_lines(LOGIN_ANSWER + "\n")) == expected
    assert list(decode_lines(bytes.fromhex(LOGIN_ANSWER))) == expected
    assert list(decode_lines([bytes.fromhex(LOGIN_ANSWER)])) == expected


def test_text_that_is_no_hex() -> None:
    assert list(decode_lines(["桩"])) == [{"garbage": "e6a1a9", "reason": "not hexadecimal"}]
    *frames, half = decode_lines([LOGIN_ANSWER + "6"])
    assert len(frames) == 1
    assert half == {"garbage": "6", "reason": "half a byte"}


def test_unknown_kind_and_cipher_text_show_their_body() -> None:
    [unknown] = decode_bytes(Frame(0x71, b"\x01\x02").build())
    assert (unknown["name"], unknown["fields"]) == ("unknown", {"body": "0102"})
    assert is_good(unknown)
    [cipher] = decode_bytes(Frame(0x09, b"\x01\x02", encryption=1).build())
    assert (cipher["encryption"], cipher["fields"]) == (1, {"body": "0102"})
    [foreign] = decode_bytes(Frame(0x52, b"\x01\x02").build(), DIALECTS["ylc"])
    assert foreign["name"] == "unknown"


def test_body_of_a_wrong_size_is_an_error() -> None:
    [item] = decode_bytes(Frame(0x09, b"\x01\x02").build())
    assert item["error"] == "2 bytes, expected 7"
    assert item["fields"] == {"body": "0102"}
    assert not is_good(item)


def test_everything_is_json() -> None:
    record = Frame(0x3B, bytes(range(158))).build()
    cards = Frame(0x44, bytes(7) + b"\x01" + bytes(16)).build()
    items = list(decode_bytes(record + cards))
    assert json.loads(json.dumps(items)) == items
    assert items[0]["fields"]["started_at"] is None
    assert items[0]["fields"]["started_at_flags"] == "raw=18191a1b1c1d1e"
    assert items[1]["fields"]["cards"] == [{"logical_card": "0" * 16, "physical_card": "0" * 16}]
