"""Code tables: complete where the document is, open everywhere else."""

from __future__ import annotations

import pytest

from edge.devices.chargers.ykc import codes
from edge.devices.chargers.ykc.dialect import DIALECTS, Dialect


@pytest.mark.parametrize(
    ("first", "last", "outcome"),
    [(0x40, 0x49, "done"), (0x4A, 0x69, "start_failed"), (0x6A, 0x8F, "aborted")],
)
def test_outcome_by_range(first: int, last: int, outcome: str) -> None:
    for code in range(first, last + 1):
        expected = "unknown" if code in (0x58, 0x78) else outcome
        assert codes.stop_reason(code).outcome == expected, hex(code)


@pytest.mark.parametrize("code", [0x00, 0x3F, 0x90, 0x93, 0xFF])
def test_other_stop_reasons_are_unknown_but_kept(code: int) -> None:
    reason = codes.stop_reason(code)
    assert (reason.code, reason.outcome) == (code, "unknown")
    assert reason.text.zh
    assert reason.text.en


def test_fault_bits_by_dialect() -> None:
    observed = 0x0082  # emergency stop and meter, as a running charge point sends it
    assert codes.fault_numbers(observed) == (
        codes.EMERGENCY_STOP_FAULT,
        codes.METER_SILENT_FAULT,
    )
    other = Dialect("other", fault_bit_base=1)
    assert codes.fault_numbers(0x0041, other.fault_bit_base) == (1, 7)
    assert codes.fault_numbers(0xFFFF) == tuple(range(16))
    assert codes.fault_numbers(0xFFFF, 1) == tuple(range(1, 17))


def test_fault_texts() -> None:
    assert codes.fault_text(1).zh == "急停按钮动作故障"
    assert "16" in codes.fault_text(16).en


def test_two_bit_values() -> None:
    # BCS and BCL timeouts, as observed: byte 6 = 0x05.
    assert codes.two_bit_values(0x05 << 48) == {24: 1, 25: 1}
    assert [codes.CAN_ERRORS[i].en for i in (24, 25)] == ["BCS timeout", "BCL timeout"]
    assert codes.two_bit_values(0) == {}
    assert codes.two_bit_values(0b10_00_00) == {2: 2}


def test_dialects_are_named_as_they_are_found() -> None:
    assert all(name == dialect.name for name, dialect in DIALECTS.items())
    assert {"ykc16", "ykc15", "ylc"} <= set(DIALECTS)
