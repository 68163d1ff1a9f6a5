"""What a line asks, made from the protection document and the models: pure.

Points of a device that stand side by side are read in one request. A plan is made anew for each
document; nothing in it changes afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

from edge.devices.sensors.lines import REGISTERS_MAX, LineConfig
from edge.devices.sensors.profile import BIT_TABLES, Point, Profile, Table
from shared.contracts.protection import Device, Output, Protection

_BITS_MAX = 2000


@dataclass(frozen=True, slots=True)
class PlannedPoint:
    """A point, and the outputs of which it is the proof."""

    point: Point
    proves: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """One request: `count` registers or bits of one table, and the points in them."""

    device: str
    unit_id: int
    table: Table
    address: int
    count: int
    points: tuple[PlannedPoint, ...]
    is_safety: bool
    period_s: float

    @property
    def answer_bytes(self) -> int:
        """Data bytes of the answer."""
        return (self.count + 7) // 8 if self.table in BIT_TABLES else 2 * self.count

    @property
    def shape(self) -> tuple[Table, int]:
        """What an answer without a number can be told by."""
        return self.table, self.answer_bytes


@dataclass(frozen=True, slots=True, eq=False)
class PlannedDevice:
    """A device with all its requests, safety points first."""

    device: Device
    reads: tuple[Read, ...]

    @property
    def is_ambiguous(self) -> bool:
        """Whether two of its answers look alike on a wire without numbers."""
        return len({read.shape for read in self.reads}) < len(self.reads)


@dataclass(frozen=True, slots=True)
class Coil:
    """Where an output is written."""

    line: str
    device: str
    unit_id: int
    address: int


@dataclass(frozen=True, slots=True, eq=False)
class LinePlan:
    """All that one line asks."""

    devices: tuple[PlannedDevice, ...] = ()

    @property
    def safety_reads(self) -> tuple[Read, ...]:
        """What every round asks, in the order of the document."""
        return tuple(read for planned in self.devices for read in planned.reads if read.is_safety)


def plan_line(
    config: LineConfig, protection: Protection, profiles: Mapping[str, Profile]
) -> LinePlan:
    """Return what a line asks of a document that `check_devices` found good."""
    proofs = _proofs(protection)
    devices = (device for device in protection.devices if device.line == config.name)
    return LinePlan(
        tuple(
            PlannedDevice(device, plan_device(device, profiles[device.profile], config, proofs))
            for device in devices
        )
    )


def plan_coils(protection: Protection, profiles: Mapping[str, Profile]) -> dict[str, Coil]:
    """Return where each output that has a device is written, by its name."""
    devices = {device.name: device for device in protection.devices}
    coils = {}
    for output in protection.outputs:
        if not output.device:
            continue
        device = devices[output.device]
        point = profiles[device.profile].find(output.point)
        assert point is not None
        coils[output.name] = Coil(device.line, device.name, device.unit_id, point.address)
    return coils


def read_back_place(output: Output) -> tuple[str, str]:
    """Return device and point that prove an output; `read_back` may name another device."""
    device, slash, point = output.read_back.partition("/")
    return (device, point) if slash else (output.device, output.read_back)


def plan_device(
    device: Device,
    profile: Profile,
    config: LineConfig,
    proofs: Mapping[tuple[str, str], tuple[str, ...]] | None = None,
) -> tuple[Read, ...]:
    """Return the requests that read all points of a device, safety first."""
    planned = [
        PlannedPoint(point, (proofs or {}).get((device.name, point.name), ()))
        for point in profile.points
    ]

    def group(each: PlannedPoint) -> tuple[bool, float, str]:
        is_safety = each.point.safety or bool(each.proves)
        return not is_safety, 0.0 if is_safety else each.point.period_s, each.point.table

    reads = []
    for (is_other, period_s, table), members in groupby(sorted(planned, key=group), key=group):
        limit = min(config.registers_max, REGISTERS_MAX)
        for run in _runs(list(members), _BITS_MAX if Table(table) in BIT_TABLES else limit):
            first, last = run[0].point, run[-1].point
            reads.append(
                Read(
                    device=device.name,
                    unit_id=device.unit_id,
                    table=Table(table),
                    address=first.address,
                    count=max(each.point.address + each.point.width for each in run)
                    - first.address,
                    points=tuple(run),
                    is_safety=not is_other,
                    period_s=period_s or config.period_s,
                )
            )
            assert last.address >= first.address
    return tuple(reads)


def _runs(members: list[PlannedPoint], limit: int) -> Iterator[list[PlannedPoint]]:
    """Split points of one table where there is a gap, or where a request would be too long."""
    members.sort(key=lambda each: each.point.address)
    run: list[PlannedPoint] = []
    end = 0
    for each in members:
        point = each.point
        new_end = max(end, point.address + point.width)
        if run and (point.address > end or new_end - run[0].point.address > limit):
            yield run
            run, new_end = [], point.address + point.width
        run.append(each)
        end = new_end
    yield run


def _proofs(protection: Protection) -> dict[tuple[str, str], tuple[str, ...]]:
    proofs: dict[tuple[str, str], tuple[str, ...]] = {}
    for output in protection.outputs:
        if output.read_back:
            place = read_back_place(output)
            proofs[place] = (*proofs.get(place, ()), output.name)
    return proofs
