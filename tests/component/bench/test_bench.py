"""The benches run, at tiny sizes, and print what they promise; no figure is judged here."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from edge.devices.chargers.ykc import messages
from edge.devices.chargers.ykc.frames import Frame, FrameReader
from ops.bench import cli, frames, hq, plan
from ops.bench.children import BenchError
from ops.bench.figures import Goal, figure, percentile

GOALS = {
    "station": {"1", "1b", "2", "7", "13"},
    "link": {"3", "4"},
    "hq": {"5"},
    "safety": {"trip", "7", "8", "line", "kiosk"},
}
FIELDS = {"goal", "what", "value", "unit", "better", "target", "moonshot", "runs", "min", "max"}


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--quick` measures next to nothing."""
    monkeypatch.setattr(plan, "STATION_QUICK", plan.STATION_TINY)
    monkeypatch.setattr(plan, "LINK_QUICK", plan.LINK_TINY)
    monkeypatch.setattr(plan, "HQ_QUICK", plan.HQ_TINY)
    monkeypatch.setattr(plan, "SAFETY_QUICK", plan.SAFETY_TINY)


def bench(name: str) -> dict[str, Any]:
    done = CliRunner().invoke(cli.app, [name, "--quick", "--json"])
    assert done.exit_code == 0, done.output
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


@pytest.mark.parametrize("name", GOALS)
def test_a_bench_prints_every_goal_in_the_agreed_shape(name: str) -> None:
    result = bench(name)
    assert result["bench"] == name
    assert "Python 3." in result["machine"]
    assert {each["goal"] for each in result["figures"]} == GOALS[name]
    for each in result["figures"]:
        assert each.keys() >= FIELDS
        assert each["what"]
        assert each["unit"]
        assert each["better"] in {"lower", "higher"}
        assert each["runs"] >= 1
        assert each["min"] <= each["value"] <= each["max"]


def test_what_cannot_be_measured_ends_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: plan.HqPlan) -> list[dict[str, Any]]:
        raise BenchError("2 of 8 records are not in PostgreSQL")

    monkeypatch.setattr(hq, "run", broken)
    done = CliRunner().invoke(cli.app, ["hq", "--quick", "--json"])
    assert done.exit_code == 1
    assert "2 of 8 records" in done.stderr
    assert done.stdout == ""


def test_the_figure_is_the_median_of_its_runs() -> None:
    made = figure(Goal("1", "ratio", "lower", 4, 2), "what", [3.0, 1.0, 2.00004], n=7)
    assert (made["value"], made["min"], made["max"], made["runs"], made["n"]) == (2.0, 1, 3, 3, 7)
    assert percentile(list(range(1, 101)), 99) == 99
    assert percentile([5.0], 99) == 5.0


def test_the_loads_frames_are_good_frames() -> None:
    car = frames.Charging(frames.number(7))
    stream = [car.realtime() for _ in range(3)]
    stream += [car.demand(), car.status(), car.status(battery_c=70)]
    stream += [frames.login(frames.number(7)), frames.heartbeat(frames.number(7))]
    stream += [frames.idle(frames.number(7))]
    found = FrameReader().feed(b"".join(stream))
    assert [type(item) for item in found] == [Frame] * len(stream)
    read = [messages.parse(item.kind, item.body) for item in found if isinstance(item, Frame)]
    realtimes = [message for message in read if isinstance(message, messages.Realtime)]
    assert [each.energy_dwh for each in realtimes[:3]] == sorted(
        {each.energy_dwh for each in realtimes[:3]}
    )
    statuses = [message for message in read if isinstance(message, messages.BmsStatus)]
    assert [each.battery_temp_max_c for each in statuses] == [25, 70]


def test_a_whole_bench_has_five_runs_and_a_quick_one_three(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()
    assert all(each.runs >= 5 for each in (plan.STATION, plan.LINK, plan.HQ))
    assert all(each.runs >= 3 for each in (plan.STATION_QUICK, plan.LINK_QUICK, plan.HQ_QUICK))
