"""The shipped models against answers of real devices: from the sources' own examples where marked.

Each case is the data bytes of an answer, in the order of the request that the plan makes.
"""

from __future__ import annotations

import pytest

from edge.devices.sensors.lines import LineConfig, Transport
from edge.devices.sensors.plan import plan_device
from edge.devices.sensors.profile import BIT_TABLES, Table, decode, encode, load_profiles
from shared.contracts.protection import Device, Quality

PROFILES = load_profiles()
LINE = LineConfig(name="a", transport=Transport.TCP, host="h")

# (model, table, first address, answer's data in hex, values by point)
ANSWERS: list[tuple[str, str, int, str, dict[str, float | None]]] = [
    # The source's own answers: 0x0131 is 30.5 °C, 0x0222 is 54.6 %, 0xFF33 is −20.5 °C.
    ("xy-md02", "input", 1, "0131 0222", {"temperature": 30.5, "humidity": 54.6}),
    ("xy-md02", "input", 1, "FF33 0222", {"temperature": -20.5, "humidity": 54.6}),
    ("xy-md02", "input", 1, "7FFF 03E9", {"temperature": None, "humidity": None}),
    ("calectro-ug3-mb", "discrete", 0, "01", {"dismounted": 0, "service": 0, "smoke": 0}),
    ("calectro-ug3-mb", "discrete", 0, "05", {"dismounted": 0, "service": 0, "smoke": 1}),
    ("calectro-ug3-mb", "discrete", 0, "02", {"dismounted": 1, "service": 1, "smoke": 0}),
    ("rle-ld1500", "input", 0, "0001", {"leak": 1, "cable_break": 0, "contamination": 0}),
    ("rle-ld1500", "input", 0, "000A", {"leak": 0, "cable_break": 1, "contamination": 0}),
    ("messko-compact-oil", "input", 0, "0000 4286 8000", {"fault": 0, "oil": 67.25}),
    ("messko-compact-oil", "input", 0, "0006 7FC0 0000", {"fault": 1, "oil": None}),
    ("messko-compact-oil", "discrete", 4, "01", {"value_invalid": 0}),
    ("messko-compact-winding", "input", 0, "0000 42C8 0000", {"fault": 0, "winding": 100.0}),
    ("messko-compact-winding", "discrete", 4, "00", {"value_invalid": 1}),
    # 8000h indicates invalid data, says the source.
    ("qualitrol-111w", "holding", 0, "0050 8000", {"oil": 80.0, "winding": None}),
    ("qualitrol-111w", "holding", 4, "0011", {"fault": 1}),
    ("qualitrol-111w", "holding", 8, "0005", {"sensor_failed": 1}),
    (
        "qualitrol-118", "holding", 0, "0064 0065 8000",
        {"winding_a": 100.0, "winding_b": 101.0, "winding_c": None},
    ),
    (
        "qualitrol-118", "holding", 8, "0041",
        {"sensor_a_failed": 0, "sensor_b_failed": 0, "sensor_c_failed": 1},
    ),
    # The source's own answer: 43 66 33 34 is 230.2 V.
    (
        "eastron-sdm630", "input", 0,
        "4366 3334 4366 0000 4365 8000 4120 0000 C120 0000 0000 0000",
        {"voltage_1": 230.200012, "voltage_2": 230.0, "voltage_3": 229.5,
         "current_1": 10.0, "current_2": -10.0, "current_3": 0.0},
    ),
    ("eastron-sdm630", "input", 0x34, "461C 4000", {"power": 10000.0}),
    ("eastron-sdm630", "input", 0x46, "4248 0000 4479 C000", {"frequency": 50.0, "energy": 999.0}),
    # A captured answer: 0540 000A 000D 0000 0002 0000 is 13.44 V, 0.1 A, 1.3 W, 2 Wh.
    (
        "peacefair-pzem-017", "input", 0, "0540 000A 000D 0000 0002 0000",
        {"voltage": 13.44, "current": 0.1, "power": 1.3, "energy": 0.002},
    ),
    (
        "peacefair-pzem-017", "input", 0, "7530 7530 D8F0 000D 0000 0001",
        {"voltage": 300.0, "current": 300.0, "power": 90750.4, "energy": 65.536},
    ),
    ("waveshare-relay-d", "coil", 0, "41", {"relay1": 1, "relay2": 0, "relay7": 1, "relay8": 0}),
    ("waveshare-relay-d", "discrete", 0, "80", {"input1": 0, "input8": 1}),
    (
        "waveshare-io8-contacts", "discrete", 0, "49",
        {"smoke": 1, "detector_fault": 0, "heat": 0, "emergency": 1, "water": 0, "door": 0,
         "transformer_door": 1, "breaker_tripped": 0},
    ),
    ("schneider-nsx-bscm", "holding", 0x232, "0001", {"closed": 1, "tripped": 0, "fault_trip": 0}),
    ("schneider-nsx-bscm", "holding", 0x232, "0006", {"closed": 0, "tripped": 1, "fault_trip": 1}),
]  # fmt: skip


def _raw(table: Table, answer: str) -> list[int]:
    data = bytes.fromhex(answer)
    if table in BIT_TABLES:
        return [byte >> bit & 1 for byte in data for bit in range(8)]
    return [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]


@pytest.mark.parametrize(("model", "table", "address", "answer", "values"), ANSWERS)
def test_an_answer_means_what_the_source_says(
    model: str, table: str, address: int, answer: str, values: dict[str, float | None]
) -> None:
    device = Device(name="d", line="a", unit_id=1, profile=model)
    reads = plan_device(device, PROFILES[model], LINE)
    read = next(r for r in reads if (r.table, r.address) == (table, address))
    raw = _raw(read.table, answer)

    assert len(_raw(read.table, answer)) >= read.count
    said = {
        each.point.name: decode(each.point, raw[each.point.address - read.address :])
        for each in read.points
    }
    assert {name: said[name][0] for name in values} == values
    assert all((value is None) == (quality is not Quality.GOOD) for value, quality in said.values())


def test_every_model_is_proved() -> None:
    assert {answer[0] for answer in ANSWERS} == set(PROFILES)
    assert len(PROFILES) >= 10


@pytest.mark.parametrize("model", sorted(PROFILES))
def test_a_simulator_can_say_what_a_device_says(model: str) -> None:
    for point in PROFILES[model].points:
        for value in (0.0, 1.0):
            assert decode(point, encode(point, value)) == (value, Quality.GOOD)


def test_the_kinds_of_device_that_a_station_has_are_there() -> None:
    measured = {point.quantity for profile in PROFILES.values() for point in profile.points}

    assert measured >= {
        "smoke", "detector_fault", "heat", "water", "door_open", "transformer_door_open",
        "emergency_button", "breaker_closed", "breaker_tripped", "output_on", "temperature_c",
        "oil_temperature_c", "winding_temperature_c", "humidity_percent", "voltage_v",
        "current_a", "power_w", "energy_kwh",
    }  # fmt: skip
