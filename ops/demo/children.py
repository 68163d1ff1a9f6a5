"""The demo's processes: started with a log each, killed or ended by their own pid."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from shared.errors import VoltwardenError

_END_LIMIT_S = 15.0
_TAIL_LINES = 15
_PR_SET_PDEATHSIG = 1


class DemoError(VoltwardenError):
    """The demo cannot go on; says what failed and where its log is."""


class Child:
    """One process of the demo. `name` is also the name of its log."""

    def __init__(self, name: str, arguments: list[str], folder: Path) -> None:
        """Prepare only. `arguments` follow `python`, e.g. `-m ops.cli edge run`."""
        self.name = name
        self.log = folder / f"{name}.log"
        self._arguments = arguments
        self.environment = {"VW_ENV": "demo"}
        """What its next start gets beside ours; callers may change it."""
        self._process: asyncio.subprocess.Process | None = None

    @property
    def running(self) -> bool:
        """Whether it lives."""
        return self._process is not None and self._process.returncode is None

    @property
    def process(self) -> asyncio.subprocess.Process:
        """The process itself; only after `start`."""
        assert self._process is not None, "not started"
        return self._process

    async def start(self, *, talks: bool = False) -> None:
        """Start it; `talks` gives it pipes for stdin and stdout."""
        pipe = asyncio.subprocess.PIPE if talks else None
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *self._arguments,
                stdin=pipe or asyncio.subprocess.DEVNULL,
                stdout=pipe or log,
                stderr=log,
                env={**os.environ, **self.environment},
                start_new_session=True,  # Ctrl-C is ours; they end in good order
                preexec_fn=_end_with_parent,
            )

    async def wait_until(self, ready: Callable[[], bool], what: str, limit_s: float) -> None:
        """Wait until `ready`, looking often; the process has to live meanwhile.

        Raises:
            DemoError: It ended, or is not ready in time; the message has its last lines.
        """
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + limit_s
        while not ready():
            if not self.running or loop.time() > deadline_s:
                state = "is too slow" if self.running else "ended"
                raise DemoError(f"{self.name} {state} ({what}); see {self.log}\n{self.tail()}")
            await asyncio.sleep(0.05)

    async def finish(self, limit_s: float) -> None:
        """Wait for a process that ends by itself.

        Raises:
            DemoError: It failed or is too slow.
        """
        try:
            async with asyncio.timeout(limit_s):
                code = await self.process.wait()
        except TimeoutError:
            raise DemoError(f"{self.name} is too slow; see {self.log}") from None
        if code:
            raise DemoError(f"{self.name} failed ({code}); see {self.log}\n{self.tail()}")

    async def kill(self) -> None:
        """`kill -9`, as a crash does."""
        self.process.kill()
        await self.process.wait()

    def freeze(self) -> None:
        """Let it stand still (SIGSTOP), so that others can look at what it was about to do."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)

    async def end(self) -> None:
        """Ask it to end, then insist. Nothing if it does not run."""
        if self._process is None or self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(_END_LIMIT_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    def tail(self) -> str:
        """Return the last lines of its log."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-_TAIL_LINES:])


def _end_with_parent() -> None:
    """A demo that is killed leaves nothing behind: the kernel tells its children to end."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
