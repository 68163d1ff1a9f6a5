"""Whether the devices and outputs of a protection document can be polled and written here.

What does not depend on lines and models is checked elsewhere; here it is: does each line, model
and point exist, and is there time for every safety point in each period.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from msgspec import Struct, structs

from edge.devices.sensors.lines import LineConfig
from edge.devices.sensors.plan import plan_line, read_back_place
from edge.devices.sensors.profile import Profile
from shared.contracts.protection import Device, Output, OutputKind, Protection
from shared.errors import ProtectionError

UNIT_MAX = 247
_PLACE = re.compile(r"(devices|outputs)\[(\d+)\]")
_NAMED_MAX = 4
_NO_DEVICE = frozenset({OutputKind.SPEAKER})


class LineBudget(Struct, frozen=True, kw_only=True):
    """What the safety points of a line cost of its period, milliseconds, devices answering."""

    line: str
    devices: int
    safety_points: int
    safety_requests: int
    budget_ms: float
    period_ms: int

    @property
    def fits(self) -> bool:
        """Whether every safety point can be read in every period."""
        return self.budget_ms <= self.period_ms


def check_devices(
    protection: Protection, lines: Iterable[LineConfig], profiles: Mapping[str, Profile]
) -> None:
    """Check devices, outputs and the time that they take.

    Raises:
        ProtectionError: The first wrong field, and what would be right.
    """
    configs = {config.name: config for config in lines}
    taken: dict[tuple[str, int], int] = {}
    names: dict[str, Device] = {}
    for index, device in enumerate(protection.devices):
        path = f"devices[{index}]"
        _check_device(path, device, configs, profiles)
        if device.name in names:
            raise ProtectionError(f"{path}.name", f"{device.name!r} is used twice")
        names[device.name] = device
        place = (device.line, device.unit_id)
        if (other := taken.setdefault(place, index)) != index:
            raise ProtectionError(
                f"{path}.unit_id", f"{device.unit_id} on this line is devices[{other}] already"
            )
    for index, output in enumerate(protection.outputs):
        _check_output(f"outputs[{index}]", output, names, profiles)
    for budget in budgets(protection, configs.values(), profiles):
        if not budget.fits:
            raise ProtectionError(
                "devices",
                f"line {budget.line!r}: its {budget.safety_points} safety points take "
                f"{budget.budget_ms:.0f} ms of a period of {budget.period_ms} ms; use a second "
                "line, a higher baud rate or a longer period_ms",
            )


def serviceable(
    protection: Protection, lines: Iterable[LineConfig], profiles: Mapping[str, Profile]
) -> tuple[Protection, tuple[ProtectionError, ...]]:
    """Return the document without the devices and outputs that cannot be had here, and why.

    For a document that was good once: a line less must not take the detectors of the others.
    Too much for a period is no reason to leave anything out: late is better than never.
    """
    configs = tuple(lines)
    faults: list[ProtectionError] = []
    while True:
        try:
            check_devices(protection, configs, profiles)
        except ProtectionError as error:
            faults.append(error)
            place = _PLACE.match(error.path)
            if place is None:
                return protection, tuple(faults)
            kind, at = place[1], int(place[2])
            kept = [each for i, each in enumerate(getattr(protection, kind)) if i != at]
            protection = structs.replace(protection, **{kind: tuple(kept)})
        else:
            return protection, tuple(faults)


def budgets(
    protection: Protection, lines: Iterable[LineConfig], profiles: Mapping[str, Profile]
) -> tuple[LineBudget, ...]:
    """Return what each line's safety points cost, for a document whose names are good."""
    found = []
    for config in lines:
        plan = plan_line(config, protection, profiles)
        reads = plan.safety_reads
        found.append(
            LineBudget(
                line=config.name,
                devices=len(plan.devices),
                safety_points=sum(len(read.points) for read in reads),
                safety_requests=len(reads),
                budget_ms=1000 * sum(config.cost_s(read.answer_bytes) for read in reads),
                period_ms=config.period_ms,
            )
        )
    return tuple(found)


def _check_device(
    path: str,
    device: Device,
    configs: Mapping[str, LineConfig],
    profiles: Mapping[str, Profile],
) -> None:
    if device.line not in configs:
        known = ", ".join(configs) or "none; add a [[line]] to edge.toml"
        raise ProtectionError(f"{path}.line", f"no line {device.line!r} here, known: {known}")
    if not 1 <= device.unit_id <= UNIT_MAX:
        raise ProtectionError(f"{path}.unit_id", f"{device.unit_id}, use 1 to {UNIT_MAX}")
    if device.profile not in profiles:
        known = ", ".join(sorted(profiles))
        raise ProtectionError(f"{path}.profile", f"no model {device.profile!r}, known: {known}")


def _check_output(
    path: str, output: Output, devices: Mapping[str, Device], profiles: Mapping[str, Profile]
) -> None:
    if not output.device:
        if output.kind not in _NO_DEVICE:
            raise ProtectionError(f"{path}.device", f"a {output.kind} is a coil of a device")
        return
    for field, place in (
        ("point", (output.device, output.point)),
        ("read_back", read_back_place(output) if output.read_back else None),
    ):
        if place is None:
            continue
        device = devices.get(place[0])
        if device is None:
            wrong = "device" if field == "point" else field
            raise ProtectionError(f"{path}.{wrong}", f"no device {place[0]!r}")
        point = profiles[device.profile].find(place[1])
        if point is None:
            known = _some_points(profiles[device.profile], for_writing=field == "point")
            raise ProtectionError(
                f"{path}.{field}", f"{device.profile} has no point {place[1]!r}, has: {known}"
            )
        if field == "point" and not point.writable:
            raise ProtectionError(f"{path}.point", f"{place[1]!r} cannot be written")
        if field == "read_back" and not point.is_contact:
            raise ProtectionError(f"{path}.read_back", f"{place[1]!r} is a number, not on or off")


def _some_points(profile: Profile, *, for_writing: bool) -> str:
    """Return the first of the points that would do: the text stands in an alarm too."""
    fit = [p.name for p in profile.points if (p.writable if for_writing else p.is_contact)]
    return ", ".join((*fit[:_NAMED_MAX], "…") if len(fit) > _NAMED_MAX else fit) or "none"
