"""Profiles: what a file must say, and that values survive the wire both ways."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.devices.sensors.profile import (
    Point,
    Table,
    ValueType,
    WordOrder,
    decode,
    encode,
    load_profiles,
    parse_profile,
)
from shared.contracts.protection import Quality, Quantity
from shared.errors import ConfigError

GOOD = """
model = "m"
maker = "a maker"
title_zh = "型号"
title_en = "a model"
[source]
title = "manual"
url = "https://example.com/manual.pdf"
page = "7"
[[point]]
name = "oil"
quantity = "oil_temperature_c"
table = "holding"
address = 3
type = "int16"
scale = 0.1
invalid = [-32768]
max = 200
title_zh = "油温"
title_en = "Oil"
"""


MEASURED = 'quantity = "oil_temperature_c"\ntable = "holding"\naddress = 3\ntype = "int16"'
CONTACT = 'quantity = "smoke"\ntable = "input"\naddress = 3\n'


def point(**fields: object) -> Point:
    defaults: dict[str, object] = {
        "name": "p",
        "quantity": Quantity.TEMPERATURE_C,
        "table": Table.HOLDING,
        "address": 0,
        "type": ValueType.UINT16,
        "title_zh": "点",
        "title_en": "point",
    }
    return Point(**{**defaults, **fields})  # type: ignore[arg-type] # fields vary by test


def test_a_good_file_is_read() -> None:
    profile = parse_profile(GOOD, "m.toml")

    oil = profile.find("oil")
    assert oil is not None
    assert (oil.address, oil.scale, oil.width) == (3, 0.1, 1)
    assert profile.serial.baud == 9600
    assert profile.find("water") is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('page = "7"', "", "m.toml: source: Object missing required field `page`"),
        ('page = "7"', 'page = " "', "m.toml: source.page:"),
        ("address = 3", 'address = "3"', "m.toml: point[0].address:"),
        ("address = 3", "address = 65536", "m.toml: point[0].address:"),
        ("address = 3", "adress = 3", "m.toml: point[0]:"),
        ('type = "int16"', 'type = "bit"', "m.toml: point[0].type:"),
        ('table = "holding"', 'table = "coil"', "m.toml: point[0].type:"),
        ('quantity = "oil_temperature_c"', 'quantity = "oil"', "m.toml: point[0].quantity:"),
        (
            'quantity = "oil_temperature_c"',
            'quantity = "battery_temp_max_c"',
            "m.toml: point[0].quantity:",
        ),
        ('quantity = "oil_temperature_c"', 'quantity = "smoke"', "m.toml: point[0].alarm_values:"),
        ("max = 200", "max = 200\nbit = 3", "m.toml: point[0].bit:"),
        ("max = 200", "max = 200\nmin = 201", "m.toml: point[0].min:"),
        ("max = 200", "max = 200\nwritable = true", "m.toml: point[0].writable:"),
        ("max = 200", "max = 200\nalarm_values = [1]", "m.toml: point[0].quantity:"),
        ("scale = 0.1", "scale = 0", "m.toml: point[0].scale:"),
        ('name = "oil"', 'name = "a/b"', "m.toml: point[0].name:"),
        ("[source]", "[serial]\nbaud = 9601\n[source]", "m.toml: serial.baud:"),
        ("[source]", "[serial]\nstop_bits = 3\n[source]", "m.toml: serial.stop_bits:"),
        ("max = 200", "max = 200\nperiod_s = 0", "m.toml: point[0].period_s:"),
        ('title_zh = "油温"', 'title_zh = ""', "m.toml: point[0].title_zh:"),
        ('maker = "a maker"', 'maker = ""', "m.toml: maker:"),
        (GOOD[GOOD.index("[[point]]") :], "point = []", "m.toml: source: "),
        (MEASURED, f'{CONTACT}type = "float32"\nalarm_values = [1]', "point[0].type: a contact is"),
        (
            MEASURED,
            f'{CONTACT}type = "int16"\nalarm_values = [1]\nnormal_values = [1]',
            "m.toml: point[0].normal_values:",
        ),
        (
            'type = "int16"',
            'type = "uint16"\nbit = 16',
            "m.toml: point[0].bit: 0 to 15",
        ),
        ("[source]", "[source", "m.toml: not valid TOML:"),
    ],
)
def test_a_wrong_field_is_named_with_its_file(old: str, new: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_profile(GOOD.replace(old, new, 1), "m.toml")

    assert said in str(caught.value)


def test_a_name_is_used_once() -> None:
    twice = GOOD + GOOD[GOOD.index("[[point]]") :]

    with pytest.raises(ConfigError, match=r"point\[1\]\.name: 'oil' is used twice"):
        parse_profile(twice, "m.toml")


def test_shipped_profiles_load_and_each_names_its_source() -> None:
    profiles = load_profiles()

    assert profiles
    for profile in profiles.values():
        assert profile.source.url.startswith("http")


def test_a_file_in_an_extra_folder_is_a_model(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text(GOOD, encoding="utf-8")
    (tmp_path / "notes.txt").write_text("not a model", encoding="utf-8")

    profiles = load_profiles(tmp_path)

    assert profiles["m"].title_zh == "型号"
    assert profiles.keys() > {"m"}


def test_the_page_for_engineers_shows_a_model_that_works(tmp_path: Path) -> None:
    page = Path(__file__).parents[5] / "edge/devices/sensors/README.md"
    blocks = re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    (text,) = [block for block in blocks if "model = " in block]
    (tmp_path / "acme-t1.toml").write_text(text, encoding="utf-8")

    point = load_profiles(tmp_path)["acme-t1"].find("temperature")

    assert point is not None
    assert decode(point, [0xFF33]) == (-20.5, Quality.GOOD)
    assert decode(point, [0x7FFF]) == (None, Quality.INVALID)


def test_a_file_is_named_after_its_model(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text(GOOD, encoding="utf-8")

    with pytest.raises(ConfigError, match=r"other\.toml: model: 'm'"):
        load_profiles(tmp_path)


def test_an_extra_folder_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"profile_dir"):
        load_profiles(tmp_path / "none")


@pytest.mark.parametrize(
    ("fields", "raw", "expected"),
    [
        ({"type": ValueType.INT16, "scale": 0.1}, [0xFF33], -20.5),
        ({"type": ValueType.UINT16, "scale": 0.1}, [305], 30.5),
        ({"scale": 0.5, "offset": -50}, [20], -40.0),
        ({"type": ValueType.UINT32}, [1, 2], 65538.0),
        ({"type": ValueType.UINT32, "word_order": WordOrder.LOW_FIRST}, [1, 2], 131073.0),
        ({"type": ValueType.INT32}, [0xFFFF, 0xFFFE], -2.0),
        ({"type": ValueType.FLOAT32}, [0x4366, 0x3334], 230.200012),
        ({"type": ValueType.UINT64}, [0, 0, 0, 7], 7.0),
    ],
)
def test_numbers(fields: dict[str, object], raw: list[int], expected: float) -> None:
    assert decode(point(**fields), raw) == (expected, Quality.GOOD)


@pytest.mark.parametrize(
    ("fields", "raw"),
    [
        ({"invalid": (0x8000,)}, [0x8000]),
        ({"type": ValueType.FLOAT32}, [0x7FC0, 0]),
        ({"type": ValueType.FLOAT32}, [0x7F80, 0]),
        ({"type": ValueType.FLOAT32}, [1]),
        ({"min": 0.0}, []),
        ({"type": ValueType.INT16, "min": -40.0}, [0xFF00]),
        ({"max": 125.0}, [126]),
        ({"quantity": Quantity.SMOKE, "alarm_values": (1,), "normal_values": (0,)}, [2]),
    ],
)
def test_what_cannot_be_is_no_number(fields: dict[str, object], raw: list[int]) -> None:
    assert decode(point(**fields), raw) == (None, Quality.INVALID)


def test_alarm_and_fault_of_one_register_are_told_apart() -> None:
    smoke = point(quantity=Quantity.SMOKE, alarm_values=(1,), normal_values=(0, 2))
    fault = point(quantity=Quantity.DETECTOR_FAULT, alarm_values=(2,), normal_values=(0, 1))

    said = [[decode(each, [raw])[0] for each in (smoke, fault)] for raw in (0, 1, 2, 3)]

    assert said == [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [None, None]]


def test_whatever_is_not_normal_is_an_alarm() -> None:
    status = point(quantity=Quantity.DETECTOR_FAULT, normal_values=(0,))

    assert [decode(status, [raw])[0] for raw in (0, 1, 6)] == [0.0, 1.0, 1.0]
    assert (encode(status, 1.0), encode(status, 0.0)) == ([1], [0])


def test_a_contact_may_rest_closed() -> None:
    door = point(
        quantity=Quantity.DOOR_OPEN, table=Table.DISCRETE, type=ValueType.BIT, alarm_values=(0,)
    )

    assert decode(door, [True]) == (0.0, Quality.GOOD)
    assert decode(door, [False]) == (1.0, Quality.GOOD)
    assert (encode(door, 1.0), encode(door, 0.0)) == ([0], [1])


def test_one_bit_of_a_register_leaves_the_others() -> None:
    leak = point(quantity=Quantity.WATER, bit=3)

    assert decode(leak, [0b1000]) == (1.0, Quality.GOOD)
    assert decode(leak, [0b0111]) == (0.0, Quality.GOOD)
    assert encode(leak, 1.0, [0b0101]) == [0b1101]
    assert encode(leak, 0.0, [0b1101]) == [0b0101]


@given(
    kind=st.sampled_from([kind for kind in ValueType if kind is not ValueType.BIT]),
    order=st.sampled_from(WordOrder),
    number=st.integers(0, 32767),
)
def test_what_is_encoded_is_decoded(kind: ValueType, order: WordOrder, number: int) -> None:
    wire = point(type=kind, word_order=order)

    assert decode(wire, encode(wire, float(number))) == (float(number), Quality.GOOD)


def test_no_value_is_said_in_the_model_s_own_way() -> None:
    assert encode(point(invalid=(0x8000,)), None) == [0x8000]
    words = encode(point(type=ValueType.FLOAT32), None)
    assert decode(point(type=ValueType.FLOAT32), words) == (None, Quality.INVALID)
    with pytest.raises(ValueError, match="cannot say"):
        encode(point(), None)
    with pytest.raises(ValueError, match="does not fit"):
        encode(point(), 70000.0)
