"""`vw rate` as called: figures, and one line that names the wrong field."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from ops.rate import app

EXAMPLE: dict[str, Any] = {
    "time_zone": "Asia/Shanghai",
    "tariff": {
        "slots": "VVVVVVVVVVVVVVFFPPPPPPFFFFFFPPFFFFFFSSSSPPPPFFVV",
        "prices_e5": {
            "sharp": [123456, 45000],
            "peak": [102345, 45000],
            "flat": [65432, 40000],
            "valley": [32109, 35000],
        },
        "per_minute_e5": 0,
    },
    "readings": [
        ["2026-11-22T06:40:00+08:00", 10000000],
        ["2026-11-22T07:00:00+08:00", 10201234],
        ["2026-11-22T07:30:00+08:00", 10500001],
        ["2026-11-22T08:00:00+08:00", 10799999],
        ["2026-11-22T08:10:00+08:00", 10900000],
    ],
}


def vw_rate(text: str) -> Result:
    return CliRunner().invoke(app, ["-", "--json"], input=text)


def test_worked_example() -> None:
    done = vw_rate(json.dumps(EXAMPLE))

    assert done.exit_code == 0, done.stderr
    bill = json.loads(done.stdout)
    assert bill["total_nano"] == 91368251331
    assert bill["payable_fen"] == 9137
    assert bill["energy_fee_fen"] + bill["service_fee_fen"] + bill["time_fee_fen"] == 9137
    assert [line["period"] for line in bill["lines"]] == ["valley", "flat", "flat", "peak"]
    assert [line["energy_dwh"] for line in bill["lines"]] == [201234, 298767, 299998, 100001]
    first = bill["lines"][0]
    assert (first["from"], first["to"]) == (
        "2026-11-22T06:40:00+08:00",
        "2026-11-22T07:00:00+08:00",
    )
    assert first["energy_fee_nano"] + first["service_fee_nano"] == 13504612506


def test_instants_in_any_offset_are_shown_in_the_stations_zone() -> None:
    document = copy.deepcopy(EXAMPLE)
    document["readings"] = [["2026-11-21T22:40:00Z", 0], ["2026-11-21T23:00:00+00:00", 7]]

    bill = json.loads(vw_rate(json.dumps(document)).stdout)

    assert bill["lines"][0]["from"] == "2026-11-22T06:40:00+08:00"


def test_time_fee_counts_whole_minutes() -> None:
    document = copy.deepcopy(EXAMPLE)
    document["tariff"]["per_minute_e5"] = 10_000
    document["readings"] = [["2026-11-22T07:00:00+08:00", 5], ["2026-11-22T07:10:59+08:00", 5]]

    bill = json.loads(vw_rate(json.dumps(document)).stdout)

    assert (bill["minutes"], bill["time_fee_fen"], bill["payable_fen"]) == (10, 100, 100)


Change = Callable[[dict[str, Any]], Any]
MORNING = "2026-11-22T07:00:00+08:00"

BAD: list[tuple[str, Change]] = [
    ("readings", lambda d: d.update(readings=d["readings"][:1])),
    ("readings", lambda d: d.update(readings=[])),
    ("readings", lambda d: d.update(readings="many")),
    ("readings", lambda d: d.pop("readings")),
    ("readings[1]", lambda d: d["readings"].insert(1, d["readings"][0])),
    ("readings[1]", lambda d: d["readings"].insert(1, ["2026-11-22T06:00:00+08:00", 10000001])),
    ("readings[4]", lambda d: d["readings"][4].__setitem__(1, 1)),
    ("readings[0][0]", lambda d: d["readings"][0].__setitem__(0, "0001-01-01T00:00:00+08:00")),
    ("readings[0][0]", lambda d: d["readings"][0].__setitem__(0, "2026-11-22T06:40:00")),
    ("readings[0][0]", lambda d: d["readings"][0].__setitem__(0, "yesterday")),
    ("readings[0][0]", lambda d: d["readings"][0].__setitem__(0, 5)),
    ("readings[0][1]", lambda d: d["readings"][0].__setitem__(1, True)),
    ("readings[0][1]", lambda d: d["readings"][0].__setitem__(1, -1)),
    ("readings[2]", lambda d: d["readings"].__setitem__(2, [MORNING])),
    ("tariff.slots[3]", lambda d: d["tariff"].update(slots="VVVX" + "V" * 44)),
    ("tariff.slots", lambda d: d["tariff"].update(slots="V" * 47)),
    ("tariff.slots", lambda d: d["tariff"].update(slots=48)),
    ("tariff.slots", lambda d: d["tariff"].pop("slots")),
    ("tariff.prices_e5.peak", lambda d: d["tariff"]["prices_e5"].pop("peak")),
    ("tariff.prices_e5.peak[0]", lambda d: d["tariff"]["prices_e5"].update(peak=[-1, 0])),
    ("tariff.prices_e5.peak", lambda d: d["tariff"]["prices_e5"].update(peak=[1])),
    ("tariff.prices_e5.noon", lambda d: d["tariff"]["prices_e5"].update(noon=[1, 1])),
    ("tariff.per_minute_e5", lambda d: d["tariff"].update(per_minute_e5=-5)),
    ("tariff.per_minut_e5", lambda d: d["tariff"].update(per_minut_e5=5)),
    ("tariff", lambda d: d.update(tariff=[])),
    ("time_zone", lambda d: d.update(time_zone="Asia/Atlantis")),
    ("time_zone", lambda d: d.update(time_zone="../../etc/passwd")),
    ("time_zone", lambda d: d.update(time_zone=8)),
]


@pytest.mark.parametrize(("field", "change"), BAD)
def test_bad_field_is_named(field: str, change: Change) -> None:
    document = copy.deepcopy(EXAMPLE)
    change(document)

    done = vw_rate(json.dumps(document))

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert f" {field}: " in done.stderr


@pytest.mark.parametrize("number", ["1.5", "1e400", "-1e400", "1e2", "NaN", "Infinity"])
@pytest.mark.parametrize(
    ("field", "there"),
    [
        ("readings[0][1]", "10000000"),
        ("tariff.prices_e5.peak[0]", "102345"),
        ("tariff.per_minute_e5", "0}, "),
    ],
)
def test_a_number_that_is_not_whole_is_told_by_its_field(
    field: str, there: str, number: str
) -> None:
    text = json.dumps(EXAMPLE)
    done = vw_rate(text.replace(there, number + there.lstrip("0123456789"), 1))

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == f"vw rate: {field}: must be a whole number\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * 100_000,
        json.dumps(EXAMPLE).replace("10000000", "9" * 5000),
    ],
)
def test_bad_json_is_refused_in_one_line(text: str) -> None:
    done = vw_rate(text)

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "JSON: " in done.stderr
