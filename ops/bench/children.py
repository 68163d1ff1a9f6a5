"""The processes of a bench: started, spoken to in JSON lines, weighed, ended by their own pid."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from ops.embedded.processes import end
from shared.errors import VoltwardenError

ROOT = Path(__file__).resolve().parents[2]
_START_LIMIT_S = 30.0
_POLL_S = 0.02


class BenchError(VoltwardenError):
    """Something could not be measured; says what and why."""


def cpu_s(pid: int) -> float:
    """Return the processor time of all threads of a process, user + system, in seconds.

    The kernel's own count, to the nanosecond; /proc/PID/stat counts in steps of 10 ms.
    """
    # What clock_getcpuclockid() makes of a process: see clock_getcpuclockid(3).
    return time.clock_gettime((~pid << 3) | 2)


def rss_bytes(pid: int) -> int:
    """Return the resident memory of a process in bytes."""
    return int(psutil.Process(pid).memory_info().rss)


class Child:
    """A helper process that answers JSON lines with JSON lines."""

    def __init__(self, module: str, *args: str, log: Path) -> None:
        """Start `python -m module`; what it says on stderr goes to `log`."""
        self._log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *args],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._process.pid

    def tell(self, **request: Any) -> None:
        """Ask without waiting for the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        """Return the next line of the child.

        Raises:
            BenchError: It has failed; its log says why.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise BenchError(f"a bench process ended: {_tail(self._log)}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise BenchError(answer["error"])
        return answer

    def ask(self, **request: Any) -> dict[str, Any]:
        """Ask and wait for the answer. Raises BenchError."""
        self.tell(**request)
        return self.hear()

    def end(self) -> None:
        """End it."""
        end(self._process)
        if self._process.stdout is not None:
            self._process.stdout.close()


class Agent:
    """A real station agent in a process of its own, or a stand-in that speaks like one."""

    def __init__(
        self,
        config: Path,
        *,
        module: Sequence[str] = ("ops.cli", "edge", "run"),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start it and wait until it listens.

        Raises:
            BenchError: It does not come up.
        """
        log = config.with_suffix(".log")
        self._errors = log.open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", *module, "--config", str(config)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=self._errors,
            stderr=self._errors,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )
        self.pid = self._process.pid
        try:
            self.port = self._await_port(log)
        except BaseException:
            self.end()
            raise

    def _await_port(self, log: Path) -> int:
        deadline_s = time.monotonic() + _START_LIMIT_S
        mark = "listening for charge points on "
        while time.monotonic() < deadline_s:
            text = log.read_text(encoding="utf-8")
            if mark in text:
                return int(text.partition(mark)[2].split()[0].rpartition(":")[2])
            if self._process.poll() is not None:
                raise BenchError(f"the agent did not start: {_tail(log)}")
            time.sleep(_POLL_S)
        raise BenchError(f"the agent does not listen within {_START_LIMIT_S:.0f} s: {_tail(log)}")

    def running(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def end(self) -> None:
        """End it in good order."""
        end(self._process)
        self._errors.close()


def answer_requests(handlers: dict[str, Callable[..., dict[str, Any]]]) -> None:
    """Be a `Child`: answer each line of stdin with the handler that its `do` names."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for line in sys.stdin:
        request = json.loads(line)
        handler = handlers[request.pop("do")]
        try:
            answer = handler(**request)
        except (OSError, TimeoutError, BenchError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        say(answer)


def say(answer: dict[str, Any]) -> None:
    """Send a line to whoever asked."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return " | ".join(lines[-3:]) or "it said nothing"
