"""Frames collected from documents, captures and running programs, against their authors' reading.

`expected` in the fixture is the author's: floats, his own offsets, his own names. The table here
says what each is called and measured in by us.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.devices.chargers.ykc import frames, messages
from edge.devices.chargers.ykc.decode import decode_lines, fields_of

FIXTURES = Path(__file__).parents[5] / "fixtures" / "ykc"
VECTORS = json.loads((FIXTURES / "vectors.json").read_text(encoding="utf-8"))

Convert = Callable[[Any], Any]


def times(factor: int) -> Convert:
    return lambda value: round(value * factor)


def same(value: Any) -> Any:
    return value


def number(value: str) -> int:
    return int(value, 16) if value.startswith("0x") else int(value)


def lower(value: str) -> str:
    return value.lower()


def little(value: str) -> int:
    return int.from_bytes(bytes.fromhex(value), "little")


def offset_current(value: float) -> int:
    return round((value + 400) * 10)


def offset_temperature(value: int) -> int:
    return value + 50


def cell(value: dict[str, Any]) -> int:
    return round(value["V"] * 100) | value["group"] << 12


def time(value: str) -> str:
    return value.split(" dow=", maxsplit=1)[0].replace(" ", "T")


def split_cards(value: list[str]) -> list[dict[str, Any]]:
    return [{"logical_card": item[:16], "physical_card": item[16:]} for item in value]


def cleared_cards(value: list[str]) -> list[dict[str, Any]]:
    return [
        {"physical_card": item[:16], "cleared": int(item[16:18]), "reason": int(item[18:])}
        for item in value
    ]


def queried_cards(value: list[str]) -> list[dict[str, Any]]:
    return [{"physical_card": item[:16], "present": int(item[16:])} for item in value]


SKIP = ("", same)  # said twice: a count of what follows
OURS: dict[str, tuple[str, Convert]] = {
    "pile_no": ("charge_point_no", same),
    "gun_no": ("connector_no", number),
    "gun": ("connector_no", same),
    "transaction_no": ("transaction_no", same),
    "pile_type": ("charge_point_type", same),
    "guns": ("connector_count", same),
    "proto_ver_x10": ("protocol_version", same),
    "program": ("program_version", same),
    "net": ("network_type", same),
    "sim": ("sim_no", lower),
    "operator": ("operator", same),
    "result": ("result", same),
    "reason": ("reason", same),
    "ack": ("result", same),
    "gun_state": ("status", same),
    "model_no": ("tariff_no", same),
    "logic_card": ("logical_card", same),
    "phys_card": ("physical_card", same),
    "account": ("physical_card", same),
    "balance": ("balance_fen", times(100)),
    "auth": ("authorized", same),
    "par_no": ("parallel_no", same),
    "role": ("role", same),
    "state": ("status", same),
    "gun_homed": ("holstered", same),
    "plugged": ("plugged_in", same),
    "V": ("voltage_dv", times(10)),
    "A": ("current_da", times(10)),
    "cable_temp_raw": ("cable_temp_raw", same),
    "cable_code": ("cable_no", same),
    "soc": ("soc_percent", same),
    "batt_max_temp_raw": ("battery_temp_max_raw", same),
    "minutes": ("charged_min", same),
    "remain_min": ("remaining_min", same),
    "kwh": ("energy_dwh", times(10_000)),
    "kwh_loss": ("loss_adjusted_dwh", times(10_000)),
    "amount": ("amount_e4", times(10_000)),
    "faults": ("faults_raw", number),
    "loss_ratio": ("loss_ratio", same),
    "periods": ("slots", lambda value: "".join("0" + digit for digit in value)),
    "start": ("started_at", time),
    "end": ("ended_at", time),
    "time": ("current_time", time),
    "meter_start": ("meter_start_dwh", times(10_000)),
    "meter_end": ("meter_end_dwh", times(10_000)),
    "vin": ("vin", same),
    "flag": ("start_mode", same),
    "stop_reason": ("stop_reason", number),
    "count": SKIP,
    "format": ("format", same),
    "prefix_len": SKIP,
    "prefix": ("prefix", same),
    "host": ("host", same),
    "port": ("port", same),
    "user": ("user", same),
    "pwd": ("password", same),
    "path": ("path", same),
    "mode": ("when", same),
    "timeout_min": ("timeout_min", same),
    "model": ("model", same),
    "power": ("power_kw", same),
    "status": ("result", same),
    "bms_ver": ("bms_protocol_version", same),
    "batt_type": ("battery_type", same),
    "rated_Ah": ("rated_capacity_dah", times(10)),
    "rated_V": ("rated_voltage_dv", times(10)),
    "maker": ("manufacturer", same),
    "pack_no": ("battery_no", same),
    "year": ("production_year_raw", lambda value: value - 1985),
    "month": ("production_month", same),
    "day": ("production_day", same),
    "charge_count": ("charge_count", same),
    "owner": ("owned", same),
    "resv": ("reserved", lambda value: little(value) if isinstance(value, str) else value),
    "bms_sw": ("bms_software_version", same),
    "cell_max_V": ("cell_voltage_max_cv", times(100)),
    "cell_min_V": ("cell_voltage_min_cv", times(100)),
    "max_A": ("current_max_raw", offset_current),
    "nominal_kWh": ("nominal_energy_hwh", times(10)),
    "max_V": ("voltage_max_dv", times(10)),
    "max_temp": ("temp_max_raw", offset_temperature),
    "batt_V": ("battery_voltage_dv", times(10)),
    "pile_max_V": ("output_voltage_max_dv", times(10)),
    "pile_min_V": ("output_voltage_min_dv", times(10)),
    "pile_max_A": ("output_current_max_raw", offset_current),
    "pile_min_A": ("output_current_min_raw", offset_current),
    "end_soc": ("soc_percent", same),
    "min_temp": ("battery_temp_min_raw", offset_temperature),
    "charger_no": ("charger_no", same),
    "err_bytes": ("errors", little),
    "fault": ("faults", little),
    "error": ("errors", little),
    "need_V": ("voltage_demand_dv", times(10)),
    "need_A": ("current_demand_raw", offset_current),
    "meas_V": ("measured_voltage_dv", times(10)),
    "meas_A": ("measured_current_raw", offset_current),
    "cell_max": ("cell_max_raw", cell),
    "out_V": ("output_voltage_dv", times(10)),
    "out_A": ("output_current_raw", offset_current),
    "cell_max_no_raw": ("cell_voltage_max_no_raw", same),
    "batt_max_temp": ("battery_temp_max_raw", offset_temperature),
    "max_temp_point_raw": ("temp_max_point_no_raw", same),
    "batt_min_temp": ("battery_temp_min_raw", offset_temperature),
    "min_temp_point_raw": ("temp_min_point_no_raw", same),
    "flags1": ("status_1_raw", little),
    "flags2": ("status_2_raw", little),
    "need_pwd": ("password_needed", same),
    "cards": ("physical_cards", same),
    "lock": ("locked", same),
    "max_power_pct": ("power_max_percent", same),
    "lock_state": ("lock_status", same),
    "parking": ("bay_status", same),
    "battery": ("battery_percent", same),
    "alarm": ("alarm", same),
    "cmd": ("command", same),
}
for period in ("sharp", "peak", "flat", "valley"):
    OURS |= {
        f"{period}_energy_price": (f"{period}_energy_price_e5", times(100_000)),
        f"{period}_service_price": (f"{period}_service_price_e5", times(100_000)),
        f"{period}_price": (f"{period}_price_e5", times(100_000)),
        f"{period}_kwh": (f"{period}_energy_dwh", times(10_000)),
        f"{period}_kwh_loss": (f"{period}_loss_adjusted_dwh", times(10_000)),
        f"{period}_amount": (f"{period}_amount_e4", times(10_000)),
    }
# Where the same word of theirs means another field.
OURS_BY_KIND: dict[tuple[int, str], tuple[str, Convert]] = {
    (0x17, "soc"): ("soc_permille", times(10)),
    (0x19, "max_temp"): ("battery_temp_max_raw", offset_temperature),
    (0x19, "kwh"): ("energy_hwh", times(10)),
    (0x1D, "reason"): ("reasons", little),
    (0x21, "reason"): ("reasons", little),
    (0x23, "mode"): ("charging_mode", same),
    (0x31, "mode"): ("start_mode", same),
    (0xA1, "mode"): ("start_mode", same),
    # He shows the 16 bytes, we the text in them; without a password both are empty.
    (0x31, "pwd"): ("password", lambda value: bytes.fromhex(value).decode().rstrip("\0")),
    (0xA1, "pwd"): ("password", lambda value: bytes.fromhex(value).decode().rstrip("\0")),
    (0x3B, "time"): ("transaction_time", time),
    (0x44, "cards"): ("cards", split_cards),
    (0x45, "items"): ("cards", cleared_cards),
    (0x47, "items"): ("cards", queried_cards),
}


def ours(kind: int, theirs: dict[str, Any]) -> dict[str, Any]:
    translated = {}
    for key, value in theirs.items():
        name, convert = OURS_BY_KIND.get((kind, key)) or OURS[key]
        if name:
            translated[name] = convert(value)
    return translated


def vector_id(vector: dict[str, Any]) -> str:
    return f"{vector['name']} {vector['hex'][4:8]}"


@pytest.mark.parametrize("vector", VECTORS, ids=vector_id)
def test_body_reads_as_its_author_says_and_rebuilds(vector: dict[str, Any]) -> None:
    raw = bytes.fromhex(vector["hex"])
    kind, body = raw[5], raw[6:-2]
    message = messages.parse(kind, body)
    assert message is not None
    expected = ours(kind, vector["expected"])
    fields = fields_of(message)
    assert {name: fields[name] for name in expected} == expected
    assert set(message.__struct_fields__) - {"tail"} == set(expected), "a field nobody checked"
    assert message.build() == body


@pytest.mark.parametrize(
    "vector", [v for v in VECTORS if v["crc"] in ("low_first", "high_first")], ids=vector_id
)
def test_good_frame_is_read_and_rebuilt_to_the_same_bytes(vector: dict[str, Any]) -> None:
    raw = bytes.fromhex(vector["hex"])
    [frame] = frames.FrameReader().feed(raw)
    assert isinstance(frame, frames.Frame)
    assert frame.raw == raw
    assert frame.crc_order == vector["crc"]
    message = messages.parse(frame.kind, frame.body)
    assert message is not None
    rebuilt = frames.Frame(
        message.KIND, message.build(), frame.sequence, frame.encryption, frame.crc_order
    )
    assert rebuilt.build() == raw
    assert rebuilt == frame


@pytest.mark.parametrize("vector", [v for v in VECTORS if v["crc"] == "bad"], ids=vector_id)
def test_sample_with_a_wrong_crc_is_shown_but_not_accepted(vector: dict[str, Any]) -> None:
    raw = bytes.fromhex(vector["hex"])
    assert all(isinstance(item, frames.Garbage) for item in frames.FrameReader().feed(raw))
    [item] = decode_lines([vector["hex"]])
    assert item["crc"] == "bad"
    expected = ours(raw[5], vector["expected"])
    assert {name: item["fields"][name] for name in expected} == expected


def test_the_collection_is_whole() -> None:
    good = [v for v in VECTORS if v["crc"] in ("low_first", "high_first")]
    assert len(good) == 48
    assert sum(v["crc"] == "high_first" for v in good) >= 8
