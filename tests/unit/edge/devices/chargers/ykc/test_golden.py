"""Bytes written by hand from the protocol's tables, for what no collected good frame shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge.devices.chargers.ykc import frames, messages
from edge.devices.chargers.ykc.decode import fields_of
from edge.devices.chargers.ykc.dialect import DIALECTS

FIXTURES = Path(__file__).parents[5] / "fixtures" / "ykc"
GOLDEN = json.loads((FIXTURES / "golden.json").read_text(encoding="utf-8"))
VECTORS = json.loads((FIXTURES / "vectors.json").read_text(encoding="utf-8"))


def frame_bytes(golden: dict[str, Any]) -> bytes:
    body = "".join(piece for piece, _name, _value in golden["body"])
    return bytes.fromhex(golden["header"] + body + golden["crc"])


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden["name"])
def test_golden_frame(golden: dict[str, Any]) -> None:
    raw = frame_bytes(golden)
    [frame] = frames.FrameReader().feed(raw)
    assert isinstance(frame, frames.Frame)
    message = messages.parse(frame.kind, frame.body, DIALECTS[golden["dialect"]])
    assert message is not None
    expected = {name: value for _piece, name, value in golden["body"] if name}
    assert fields_of(message) == expected
    assert message.build() == frame.body
    assert frame.build() == raw


def test_every_kind_has_a_good_frame_or_a_golden_one() -> None:
    collected = {
        int(v["hex"][10:12], 16) for v in VECTORS if v["crc"] in ("low_first", "high_first")
    }
    golden = {int(g["header"][-2:], 16) for g in GOLDEN}
    assert collected | golden == set(messages.MESSAGES)
