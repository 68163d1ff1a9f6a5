"""What the safety bench stands on: a station whose disk is full and whose HQ is away.

The station's documents are written here: models of devices as small as a model can be, a zone,
a siren, and one rule of each kind that is measured.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import argon2

from ops.bench import frames
from ops.bench.children import Agent, Child
from ops.bench.rig import TARIFF

PIN = "2580"
_DISK_SIZE = "24m"
_FILL_CHUNK = b"\0" * 4096
_LINE = "bench"

_PROFILE = """
model = "{model}"
maker = "bench"
title_zh = "测试"
title_en = "bench"
[source]
title = "ops/bench/modbus_field.py"
url = "none"
page = "none"
{points}
"""
_POINT = """
[[point]]
name = "{name}"
quantity = "{quantity}"
table = "{table}"
address = 0
type = "{type}"
scale = {scale}
safety = {safety}
writable = {writable}
period_s = 1.0
title_zh = "测试"
title_en = "bench"
"""
_PROFILES: dict[str, list[tuple[str | float, ...]]] = {
    "bench-detector": [("smoke", "smoke", "discrete", "bit", 1, "true", "false")],
    "bench-thermometer": [("temperature", "temperature_c", "input", "int16", 0.1, "true", "false")],
    "bench-relay": [
        ("siren", "output_on", "coil", "bit", 1, "false", "true"),
        ("siren_on", "output_on", "discrete", "bit", 1, "false", "false"),
    ],
    "bench-bulk": [("humidity", "humidity_percent", "input", "int16", 0.1, "false", "false")],
}


def write_profiles(folder: Path) -> Path:
    """Write the models of the bench; return their folder."""
    profiles = folder / "profiles"
    profiles.mkdir(exist_ok=True)
    names = ("name", "quantity", "table", "type", "scale", "safety", "writable")
    for model, points in _PROFILES.items():
        text = "".join(_POINT.format(**dict(zip(names, point, strict=True))) for point in points)
        path = profiles / f"{model}.toml"
        path.write_text(_PROFILE.format(model=model, points=text), encoding="utf-8")
    return profiles


def toml(values: dict[str, Any]) -> str:
    """Return an inline table; TOML writes plain values as JSON does."""

    def one(value: Any) -> str:
        if isinstance(value, dict):
            return toml(value)
        if isinstance(value, list):
            return "[" + ", ".join(map(one, value)) + "]"
        return json.dumps(value, ensure_ascii=False)

    return "{" + ", ".join(f"{name} = {one(value)}" for name, value in values.items()) + "}"


def write_protection(folder: Path, document: dict[str, list[dict[str, Any]]]) -> Path:
    """Write a protection document: lists of tables by the name of the list."""
    path = folder / "protection.toml"
    lines = [
        f"{name} = [\n" + ",\n".join(f"  {toml(each)}" for each in tables) + "\n]\n"
        for name, tables in document.items()
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


class FullDisk:
    """A folder on a disk of its own that can be filled to the last byte; root only."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={_DISK_SIZE}", "tmpfs", str(folder)], check=True
        )

    def fill(self) -> None:
        """Take every byte that is left."""
        with (self.folder / "filler").open("ab", buffering=0) as filler:
            try:
                while True:
                    filler.write(_FILL_CHUNK)
            except OSError:
                return

    def close(self) -> None:
        """Take it away, also from under a process that still holds a file."""
        subprocess.run(["umount", "-l", str(self.folder)], check=False)


class SafetyRig:
    """Use as a context manager; everything that was started through it ends with it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="voltwarden-safety-"))
        self._stack = ExitStack()
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.profiles = write_profiles(self.folder)

    def __enter__(self) -> Self:
        """Nothing runs yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End everything, the last one first."""
        self._stack.close()

    def child(self, module: str, *args: str) -> Child:
        """Start a helper process."""
        child = Child(module, *args, log=self.folder / f"{module.rpartition('.')[2]}.log")
        self._stack.callback(child.end)
        return child

    def agent(self, config: Path, *, module: tuple[str, ...] = ("ops.cli", "edge", "run")) -> Agent:
        """Start a station agent, or a stand-in."""
        agent = Agent(config, module=module)
        self._stack.callback(agent.end)
        return agent

    def disk(self, name: str) -> FullDisk | None:
        """Return a disk that can be filled, or None where nobody may mount one."""
        if os.geteuid() != 0:
            return None
        try:
            disk = FullDisk(self.folder / name)
        except subprocess.CalledProcessError:
            return None
        self._stack.callback(disk.close)
        return disk

    def config(
        self,
        name: str,
        charge_points: int,
        *,
        connectors: int = 1,
        line: dict[str, Any] | None = None,
        document: dict[str, list[dict[str, Any]]] | None = None,
        data_dir: Path | None = None,
        hq: dict[str, Any] | None = None,
    ) -> Path:
        """Write an edge.toml; without `hq` its HQ is a port where nobody listens."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        (folder / "secret").write_text("bench", encoding="utf-8")
        (folder / "tariff.json").write_text(json.dumps(TARIFF), encoding="utf-8")
        values: dict[str, Any] = {
            "station": {"number": name, "data_dir": str(data_dir or folder / "data")},
            "gateway": {"host": "127.0.0.1", "port": 0, "connections_max": charge_points + 100},
            "hq": {
                "host": "127.0.0.1",
                "port": _free_port(),
                "secret_file": str(folder / "secret"),
                "tls": False,
                **(hq or {}),
            },
            "tariff": {"file": str(folder / "tariff.json")},
            "log": {"level": "warning"},
            "charge_point": [
                {"number": frames.number(index), "connectors": connectors, "silence_limit_s": 3600}
                for index in range(charge_points)
            ],
        }
        if line is not None:
            values["sensors"] = {"profile_dir": str(self.profiles)}
            values["line"] = [{"name": _LINE, **line}]
        if document is not None:
            values["protection"] = {"file": str(write_protection(folder, document))}
        write_pin(data_dir or folder / "data")
        path = folder / "edge.toml"
        text = "\n".join(f"{section} = {_one(value)}" for section, value in values.items())
        path.write_text(text, encoding="utf-8")
        return path


def _one(value: Any) -> str:
    if isinstance(value, list):
        return "[\n" + ",\n".join(toml(each) for each in value) + "\n]"
    return toml(value)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_pin(data_dir: Path) -> None:
    """Give the station a PIN whose hash costs next to nothing: it is not what is measured."""
    hasher = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    data_dir.mkdir(exist_ok=True, parents=True, mode=0o750)
    pin = {"name": "bench", "role": "chief", "hash": hasher.hash(PIN)}
    (data_dir / "pins.json").write_text(json.dumps([pin]), encoding="utf-8")
