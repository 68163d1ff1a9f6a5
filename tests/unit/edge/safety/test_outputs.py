"""An output is on while a cause wants it, proves itself, is repeated, and has a second."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edge.devices.chargers.reports import Moment
from edge.devices.sensors.reports import OutputRead
from edge.safety.outputs import OutputFault, Outputs
from shared.contracts import protection as p
from tests.fakes.field import output

SMOKE, HEAT = ("smoke", "sensor:d1/smoke"), ("heat", "sensor:d2/heat")


class Bench:
    """Outputs with coils; `broken` do not answer, `stuck` read back as told."""

    def __init__(self, *specs: p.Output) -> None:
        self.s = 100.0
        self.coils: dict[str, bool] = {}
        self.writes: list[tuple[float, str, bool]] = []
        self.broken: set[str] = set()
        self.stuck: dict[str, bool | None] = {}
        self.faults: list[OutputFault] = []
        self.answers: list[str] = []
        self.outputs = Outputs(
            self._write,
            on_answered=lambda spec, _on, _at: self.answers.append(spec.name),
            on_fault=self.faults.append,
        )
        self.outputs.configure(specs, self.now)
        self.pass_s(1.0)
        self.writes.clear()

    @property
    def now(self) -> Moment:
        return Moment(int(self.s * 1000), self.s)

    def _write(self, name: str, on: bool, done: Callable[[bool, Moment], None]) -> None:
        self.writes.append((round(self.s, 1), name, on))
        if name not in self.broken:
            self.coils[name] = on
        done(name not in self.broken, self.now)

    def pass_s(self, seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            self.s = round(self.s + 0.1, 1)
            for spec in self.outputs.specs():
                if spec.read_back:
                    on = self.stuck.get(spec.name, self.coils.get(spec.name))
                    self.outputs.on_read(OutputRead(self.now, spec.name, on))
            self.outputs.tick(self.now)

    def want(self, *names: str, cause: tuple[str, str] = SMOKE) -> None:
        self.outputs.want(cause, names, self.now)

    def told(self) -> list[tuple[str, str, bool]]:
        return [(fault.output.name, fault.reason, fault.active) for fault in self.faults]


def test_an_output_is_on_while_any_cause_wants_it() -> None:
    bench = Bench(output("a"))
    bench.want("a")
    bench.want("a", cause=HEAT)
    bench.outputs.drop(SMOKE, bench.now)
    assert bench.coils["a"]
    bench.outputs.drop(HEAT, bench.now)
    assert not bench.coils["a"]
    bench.pass_s(3.0)
    assert bench.faults == []
    assert [on for _, _, on in bench.writes] == [True, False]


def test_what_does_not_answer_is_written_every_second_and_is_a_fault_after_one() -> None:
    bench = Bench(output("a"))
    bench.broken.add("a")
    start_s = bench.s
    bench.want("a")
    bench.pass_s(1.0)
    assert bench.faults == []
    bench.pass_s(3.0)
    assert bench.told() == [("a", "no_answer", True)]
    assert [round(s - start_s, 1) for s, _, _ in bench.writes] == [0.0, 1.0, 2.0, 3.0, 4.0]
    bench.broken.clear()
    bench.pass_s(1.5)
    assert bench.told()[-1] == ("a", "no_answer", False)
    assert bench.coils["a"]


@pytest.mark.parametrize(("reads", "reason"), [(False, "reads_off"), (None, "unreadable")])
def test_a_read_back_that_disagrees_for_a_second_is_a_fault(
    reads: bool | None, reason: str
) -> None:
    bench = Bench(output("a"))
    bench.stuck["a"] = reads
    bench.want("a")
    bench.pass_s(0.9)
    assert bench.faults == []
    bench.pass_s(0.5)
    assert bench.told() == [("a", reason, True)]


def test_a_siren_that_did_not_come_on_is_not_well_because_it_is_off_again() -> None:
    bench = Bench(output("a"))
    bench.stuck["a"] = False
    bench.want("a")
    bench.pass_s(2.0)
    bench.outputs.drop(SMOKE, bench.now)
    bench.pass_s(5.0)
    assert bench.outputs.fault("a") == "reads_off"
    bench.stuck.clear()
    bench.want("a")
    bench.pass_s(1.0)
    assert bench.outputs.fault("a") == ""


def test_the_backup_sounds_instead_and_ends_with_it() -> None:
    bench = Bench(output("a", backup="b"), output("b"))
    bench.stuck["a"] = False
    bench.want("a")
    bench.pass_s(2.0)
    assert bench.coils["b"]
    assert SMOKE in bench.outputs.causes_of("b")
    bench.outputs.silence(SMOKE, bench.now)
    assert not bench.coils["b"]
    bench.outputs.sound_again(SMOKE, bench.now)
    assert bench.coils["b"]
    bench.outputs.drop(SMOKE, bench.now)
    assert not bench.coils["b"]


def test_the_backup_of_a_backup_sounds_where_both_fail() -> None:
    bench = Bench(output("a", backup="b"), output("b", backup="c"), output("c"))
    bench.broken.update("ab")
    bench.want("a")
    bench.pass_s(4.0)
    assert bench.coils["c"]
    assert SMOKE in bench.outputs.causes_of("c")
    assert not bench.outputs.speaker_needed
    bench.broken.discard("b")
    bench.pass_s(2.0)
    assert (bench.coils["b"], bench.coils["c"]) == (True, False)


def test_a_strobe_in_the_place_of_a_silenced_siren_ends_with_the_cause() -> None:
    bench = Bench(output("light", p.OutputKind.STROBE), output("a", backup="light"))
    bench.stuck["a"] = False
    bench.want("a")
    bench.pass_s(2.0)
    bench.outputs.silence(SMOKE, bench.now)
    assert bench.coils["light"]
    bench.outputs.drop(SMOKE, bench.now)
    assert not bench.coils["light"]


def test_two_that_back_each_other_up_do_not_keep_each_other_on() -> None:
    bench = Bench(output("a", backup="b"), output("b", backup="a"))
    bench.stuck.update(a=False, b=False)
    bench.want("a")
    bench.pass_s(3.0)
    bench.outputs.drop(SMOKE, bench.now)
    assert not bench.coils["a"]
    assert not bench.coils["b"]


def test_the_loudspeaker_is_needed_where_no_siren_sounds() -> None:
    bench = Bench(output("a", backup="b"), output("b"))
    bench.stuck["a"] = False
    bench.want("a")
    bench.pass_s(2.0)
    assert not bench.outputs.speaker_needed
    bench.stuck["b"] = False
    bench.pass_s(2.0)
    assert bench.outputs.speaker_needed


def test_silence_leaves_strobes_and_contactors_alone() -> None:
    bench = Bench(
        output("a"), output("light", p.OutputKind.STROBE), output("k", p.OutputKind.CONTACTOR)
    )
    bench.want("a", "light", "k")
    bench.outputs.silence(SMOKE, bench.now)
    assert bench.coils == {"a": False, "light": True, "k": True}


def test_a_device_that_comes_back_is_told_again() -> None:
    bench = Bench(output("a", read_back=""))
    bench.want("a")
    bench.coils.clear()
    bench.outputs.on_answering("relay-a", bench.now)
    assert bench.coils["a"]


def test_the_watchdog_is_toggled_once_a_second() -> None:
    bench = Bench(output("dog", p.OutputKind.WATCHDOG, read_back=""))
    bench.pass_s(5.0)
    assert [on for _, _, on in bench.writes] in (
        [True, False, True, False, True],
        [False, True, False, True, False],
    )
    bench.broken.add("dog")
    bench.pass_s(3.0)
    assert bench.told() == [("dog", "no_answer", True)]


def test_a_document_keeps_the_state_of_outputs_that_stay() -> None:
    bench = Bench(output("a"), output("b"))
    bench.want("a", "b")
    bench.writes.clear()
    bench.outputs.configure((output("a", zones=("A",)), output("c")), bench.now)
    assert [(name, on) for _, name, on in bench.writes] == [("c", False)]
    assert bench.coils["a"]


def test_a_backup_that_is_named_anew_takes_over_at_once() -> None:
    bench = Bench(output("a", backup="b"), output("b"), output("c"))
    bench.broken.add("a")
    bench.want("a")
    bench.pass_s(2.0)
    assert (bench.coils["b"], bench.coils["c"]) == (True, False)
    specs = (output("a", backup="c"), output("b"), output("c"))
    bench.outputs.configure(specs, bench.now)
    assert (bench.coils["b"], bench.coils["c"]) == (False, True)


def test_a_backup_that_moved_to_another_coil_goes_on() -> None:
    bench = Bench(output("a", backup="b"), output("b"))
    bench.broken.add("a")
    bench.want("a")
    bench.pass_s(2.0)
    bench.coils.clear()
    specs = (output("a", backup="b"), output("b", device="relay-x"))
    bench.outputs.configure(specs, bench.now)
    assert bench.coils["b"]


def test_the_fault_of_a_coil_ends_where_its_output_moves_to_another() -> None:
    bench = Bench(output("a"))
    bench.broken.add("a")
    bench.want("a")
    bench.pass_s(2.0)
    bench.outputs.configure((output("a", zones=("A",)),), bench.now)
    assert bench.told() == [("a", "no_answer", True)]
    bench.outputs.configure((output("a", device="relay-x"),), bench.now)
    assert bench.told() == [("a", "no_answer", True), ("a", "no_answer", False)]
