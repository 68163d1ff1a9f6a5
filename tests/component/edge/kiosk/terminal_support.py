"""The screen as a process of its own, on a terminal of its own."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import struct
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


class Terminal:
    """A terminal that remembers what was written to it, and the process behind it."""

    def __init__(self, descriptor: int, process: asyncio.subprocess.Process) -> None:
        self._descriptor = descriptor
        self.process = process
        self.written = bytearray()
        self._more = asyncio.Event()

    def on_readable(self) -> None:
        """Take what was written."""
        try:
            data = os.read(self._descriptor, 65536)
        except OSError:  # the other side is gone
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._descriptor)
        self.written += data
        self._more.set()

    async def shows(self, text: str, timeout_s: float) -> None:
        """Wait until `text` is written, from now on."""
        wanted = text.encode()
        async with asyncio.timeout(timeout_s):
            while wanted not in self.written:
                self._more.clear()
                await self._more.wait()

    def forget(self) -> None:
        """Forget what was written so far."""
        self.written.clear()

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._descriptor, keys.encode())

    async def presses(self, keys: str, text: str, timeout_s: float) -> None:
        """Press until the screen shows `text`: what came up just now takes no key yet."""
        async with asyncio.timeout(timeout_s):
            while True:
                self.press(keys)
                with contextlib.suppress(TimeoutError):
                    return await self.shows(text, 1.0)

    def cpu_s(self) -> float:
        """Return the processor time that the process has taken."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8")
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def rss_bytes(self) -> int:
        """Return the most memory that the process has held."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024


@asynccontextmanager
async def terminal(
    *arguments: str, size: tuple[int, int] = (106, 30), locale: dict[str, str] | None = None
) -> AsyncIterator[Terminal]:
    """Run a module of ours on a terminal of this size (columns, rows).

    `locale` stands for what the terminal says of itself, in place of one that can do everything.
    """
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    every = {
        "TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8", "PYTHONUTF8": "1",
    }  # fmt: skip
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in {*every, "LC_ALL", "LC_CTYPE"}
    } | (every if locale is None else locale)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *arguments,
        stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    screen = Terminal(ours, process)
    loop = asyncio.get_running_loop()
    loop.add_reader(ours, screen.on_readable)
    try:
        yield screen
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()
        loop.remove_reader(ours)
        os.close(ours)
