"""Which simulated devices stand where: the same fields as in a protection document.

A protection document can be given as it is; `lines` may be added to it, to serve each line of
devices at an address of its own. Without a layout there is one device of each model that ships.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from edge.devices.sensors.profile import Profile
from shared.contracts.protection import Device, Output, Zone
from shared.errors import ConfigError

LineKind = Literal["tcp", "rtu_over_tcp", "pty", "serial"]

_UNIT_MAX = 247


class Line(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How devices are reached. `name` "" stands for every line that is not listed.

    `port` 0 takes a free one. `device` is the path of a serial port; for `pty`, the path at
    which a link to the new terminal is put, if any. `baud` 0 answers as fast as it can; else
    bytes take the time that they take on such a line.
    """

    name: str = ""
    kind: LineKind = "tcp"
    host: str = "127.0.0.1"
    port: int = 0
    device: str = ""
    baud: int = 0


class Layout(Struct, frozen=True, kw_only=True):
    """What stands at the station; other fields of a protection document are not looked at."""

    devices: tuple[Device, ...] = ()
    zones: tuple[Zone, ...] = ()
    outputs: tuple[Output, ...] = ()
    lines: tuple[Line, ...] = ()


def load(path: Path) -> Layout:
    """Read a layout from TOML or JSON.

    Raises:
        ConfigError: The file cannot be read, or says which field is wrong.
    """
    try:
        data = path.read_bytes()
        decode = msgspec.json.decode if path.suffix == ".json" else _decode_toml
        return msgspec.convert(decode(data), Layout)
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _decode_toml(data: bytes) -> object:
    return tomllib.loads(data.decode())


def one_of_each(profiles: Mapping[str, Profile]) -> Layout:
    """Return a layout with a device of every model, unit ids from 1 by name, in zone A."""
    devices = tuple(
        Device(name=f"device-{unit_id}", line="", unit_id=unit_id, profile=model, zone="A")
        for unit_id, model in enumerate(sorted(profiles), 1)
    )
    return Layout(devices=devices, zones=(Zone(name="A"),))


def check(layout: Layout, profiles: Mapping[str, Profile]) -> None:
    """Check names and unit ids, as far as a simulation needs them.

    Raises:
        ConfigError: Says which device or output is wrong.
    """
    taken: dict[tuple[str, int], str] = {}
    names: dict[str, Profile] = {}
    for device in layout.devices:
        profile = profiles.get(device.profile)
        if profile is None:
            known = ", ".join(sorted(profiles))
            raise ConfigError(f"device {device.name}: unknown profile {device.profile!r}; {known}")
        if not 1 <= device.unit_id <= _UNIT_MAX:
            raise ConfigError(f"device {device.name}: unit_id {device.unit_id}, use 1 to 247")
        other = taken.setdefault((device.line, device.unit_id), device.name)
        if other != device.name or device.name in names:
            raise ConfigError(f"device {device.name}: name or unit_id is taken by {other}")
        names[device.name] = profile
    for output in layout.outputs:
        if output.device and output.device not in names:
            raise ConfigError(f"output {output.name}: no device {output.device!r}")
        if output.device and names[output.device].find(output.point) is None:
            raise ConfigError(f"output {output.name}: {output.device} has no {output.point!r}")
