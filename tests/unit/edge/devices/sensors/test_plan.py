"""Which requests are made of a document, and how long they take."""

from __future__ import annotations

import pytest

from edge.devices.sensors.check import budgets, check_devices, serviceable
from edge.devices.sensors.lines import LineConfig, Transport
from edge.devices.sensors.plan import plan_coils, plan_device, plan_line
from edge.devices.sensors.profile import Point, Profile, Source, Table, ValueType, load_profiles
from shared.contracts.protection import Device, Output, OutputKind, Protection, Quantity
from shared.errors import ProtectionError

PROFILES = load_profiles()
TCP = LineConfig(name="a", transport=Transport.TCP, host="h")
SLOW = LineConfig(name="a", transport=Transport.SERIAL, device="/dev/ttyS1", baud=9600)
FAST = LineConfig(name="a", transport=Transport.SERIAL, device="/dev/ttyS1", baud=115200)


def device(name: str, unit_id: int, profile: str, line: str = "a") -> Device:
    return Device(name=name, line=line, unit_id=unit_id, profile=profile)


def siren(**changes: str) -> Output:
    fields = {"device": "relay", "point": "relay1", "read_back": "relay1", **changes}
    return Output(name="siren", kind=OutputKind.SIREN, **fields)


def requests(config: LineConfig, model: str) -> list[tuple[str, int, int, bool]]:
    reads = plan_device(device("d", 1, model), PROFILES[model], config)
    return [(read.table, read.address, read.count, read.is_safety) for read in reads]


def test_points_that_touch_share_a_request() -> None:
    assert requests(TCP, "eastron-sdm630") == [
        ("input", 0, 12, False),
        ("input", 0x34, 2, False),
        ("input", 0x3E, 2, False),
        ("input", 0x46, 4, False),
    ]
    assert requests(TCP, "waveshare-io8-contacts") == [("discrete", 0, 8, True)]
    assert requests(TCP, "rle-ld1500") == [("input", 0, 1, False)]


def wide(count: int) -> Profile:
    points = tuple(
        Point(
            name=f"p{i}",
            quantity=Quantity.VOLTAGE_V,
            table=Table.HOLDING,
            address=2 * i,
            type=ValueType.FLOAT32,
            title_zh="电",
            title_en="v",
        )
        for i in range(count)
    )
    source = Source(title="t", url="u", page="p")
    return Profile(model="w", maker="m", title_zh="w", title_en="w", source=source, points=points)


def test_a_slow_wire_is_not_held_by_one_long_answer() -> None:
    reads = plan_device(device("d", 1, "w"), wide(80), SLOW)

    assert [read.count for read in reads] == [SLOW.registers_max // 2 * 2] * (len(reads) - 1) + [
        160 - SLOW.registers_max // 2 * 2 * (len(reads) - 1)
    ]
    assert all(SLOW.wire_s(read.answer_bytes) < SLOW.period_s * 0.6 for read in reads)
    assert [read.count for read in plan_device(device("d", 1, "w"), wide(80), TCP)] == [124, 36]


def test_what_proves_an_output_is_read_in_every_round() -> None:
    document = Protection(
        devices=(device("relay", 9, "waveshare-relay-d"), device("other", 8, "waveshare-relay-d")),
        outputs=(siren(), siren(read_back="other/input3")),
    )

    plan = plan_line(TCP, document, PROFILES)
    proofs = {
        (read.device, each.point.name): each.proves
        for read in plan.safety_reads
        for each in read.points
    }

    assert proofs == {("relay", "relay1"): ("siren",), ("other", "input3"): ("siren",)}
    coil = plan_coils(document, PROFILES)["siren"]
    assert (coil.line, coil.device, coil.unit_id, coil.address) == ("a", "relay", 9, 0)


def test_an_answer_that_can_be_mistaken_is_known() -> None:
    sdm, oil = (
        plan_line(TCP, Protection(devices=(device("d", 1, model),)), PROFILES).devices[0]
        for model in ("eastron-sdm630", "messko-compact-oil")
    )

    assert sdm.is_ambiguous
    assert not oil.is_ambiguous


@pytest.mark.parametrize(("config", "fitting"), [(SLOW, 3), (FAST, 10)])
def test_a_wire_carries_what_its_speed_allows(config: LineConfig, fitting: int) -> None:
    def document(count: int) -> Protection:
        return Protection(
            devices=tuple(device(f"s{i}", i, "calectro-ug3-mb") for i in range(1, count + 1))
        )

    check_devices(document(fitting), [config], PROFILES)
    (budget,) = budgets(document(fitting), [config], PROFILES)
    assert (budget.safety_requests, budget.safety_points) == (fitting, 3 * fitting)
    assert 0 < budget.budget_ms <= budget.period_ms
    with pytest.raises(ProtectionError, match=r"devices: line 'a': its \d+ safety points take"):
        check_devices(document(fitting + 1), [config], PROFILES)


def test_time_outs_leave_time_for_the_bytes() -> None:
    assert TCP.timeout_s(2, 0.01) == 0.04
    assert TCP.timeout_s(2, 0.09) == 0.09
    assert TCP.timeout_s(2, 10.0) == 1.0
    assert SLOW.timeout_s(250, 0.0) > SLOW.wire_s(250) > 0.25
    assert (TCP.gap_s, FAST.gap_s) == (0.0, 0.00175)
    assert SLOW.gap_s == pytest.approx(0.004, abs=0.0001)


@pytest.mark.parametrize(
    ("document", "path", "said"),
    [
        (Protection(devices=(device("d", 1, "xy-md02", "b"),)), "devices[0].line", "known: a"),
        (Protection(devices=(device("d", 0, "xy-md02"),)), "devices[0].unit_id", "1 to 247"),
        (Protection(devices=(device("d", 248, "xy-md02"),)), "devices[0].unit_id", "1 to 247"),
        (Protection(devices=(device("d", 1, "none"),)), "devices[0].profile", "xy-md02"),
        (
            Protection(devices=(device("d", 1, "xy-md02"), device("e", 1, "xy-md02"))),
            "devices[1].unit_id",
            "devices[0] already",
        ),
        (
            Protection(devices=(device("d", 1, "xy-md02"), device("d", 2, "xy-md02"))),
            "devices[1].name",
            "twice",
        ),
        (Protection(outputs=(siren(),)), "outputs[0].device", "no device 'relay'"),
        (Protection(outputs=(siren(device=""),)), "outputs[0].device", "a coil"),
        (
            Protection(
                devices=(device("relay", 9, "waveshare-relay-d"),), outputs=(siren(point="x"),)
            ),
            "outputs[0].point",
            "has: relay1",
        ),
        (
            Protection(
                devices=(device("relay", 9, "waveshare-relay-d"),), outputs=(siren(point="input1"),)
            ),
            "outputs[0].point",
            "cannot be written",
        ),
        (
            Protection(
                devices=(device("relay", 9, "waveshare-relay-d"),),
                outputs=(siren(read_back="y/z"),),
            ),
            "outputs[0].read_back",
            "no device 'y'",
        ),
        (
            Protection(
                devices=(device("relay", 9, "waveshare-relay-d"), device("air", 1, "xy-md02")),
                outputs=(siren(read_back="air/humidity"),),
            ),
            "outputs[0].read_back",
            "is a number",
        ),
    ],
)
def test_what_is_not_there_is_named(document: Protection, path: str, said: str) -> None:
    with pytest.raises(ProtectionError) as caught:
        check_devices(document, [TCP], PROFILES)

    assert caught.value.path == path
    assert said in caught.value.why


def test_what_is_left_of_a_document_is_served() -> None:
    document = Protection(
        devices=(
            device("gone", 1, "calectro-ug3-mb", "b"),
            device("smoke", 1, "calectro-ug3-mb"),
            device("relay", 9, "waveshare-relay-d", "b"),
            device("air", 2, "no-such-model"),
        ),
        outputs=(siren(), Output(name="speaker", kind=OutputKind.SPEAKER)),
    )

    left, faults = serviceable(document, [TCP], PROFILES)

    assert [each.name for each in left.devices] == ["smoke"]
    assert [each.name for each in left.outputs] == ["speaker"]
    assert [fault.path for fault in faults] == [
        "devices[0].line", "devices[1].line", "devices[1].profile", "outputs[0].device",
    ]  # fmt: skip


def test_a_line_that_is_too_slow_is_served_all_the_same() -> None:
    devices = tuple(device(f"s{i}", i, "calectro-ug3-mb") for i in range(1, 9))

    left, faults = serviceable(Protection(devices=devices), [SLOW], PROFILES)

    assert left.devices == devices
    assert [fault.path for fault in faults] == ["devices"]


def test_a_loudspeaker_needs_no_device() -> None:
    check_devices(
        Protection(outputs=(Output(name="speaker", kind=OutputKind.SPEAKER),)), [TCP], PROFILES
    )
