"""Players of recordings: the configured program in a process of its own, and one for tests.

A player only keeps what is wanted; whoever wants it never waits for a sound card.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from edge.sound import messages
from edge.sound.messages import Language

logger = logging.getLogger(__name__)

_PAUSE_S = 1.0
_AGAIN_S = 5.0
_PROBE_S = 60.0
_FILE_MAX_S = 15.0
"""The longest recording takes 4 s: a player that still plays hangs."""
_REASON_MAX = 120


class Player(Protocol):
    """Says a message over and over until it is stopped or given another."""

    def play(self, message: str, language: Language) -> None:
        """Say `message` from now on, in `zh`, `en` or `both` by turns; returns at once."""

    def stop(self) -> None:
        """Be silent; returns at once."""

    def alive(self) -> bool:
        """Whether the last sound, or the last probe, was played to its end."""

    @property
    def reason(self) -> str:
        """Why it is not alive, in a few words; empty while it is."""


class CommandPlayer:
    """Plays through a program such as `aplay -q`, which is given one WAV file at a time.

    `run` must run for anything to be heard. It proves life with a silent recording, at its start
    and once a minute; until then, and whenever the program is missing, fails or hangs, the player
    is not alive. A message that is wanted is tried again every 5 s meanwhile.

    Args:
        command: The program and its options; the file's path is added.
        pause_s, again_s, probe_s: Between two rounds, after a failure, between two probes.
        file_max_s: After which the program is taken for hung, and killed.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        pause_s: float = _PAUSE_S,
        again_s: float = _AGAIN_S,
        probe_s: float = _PROBE_S,
        file_max_s: float = _FILE_MAX_S,
    ) -> None:
        self._command = tuple(command)
        self._pause_s = pause_s
        self._again_s = again_s
        self._probe_s = probe_s
        self._file_max_s = file_max_s
        self._wanted: tuple[str, Language] | None = None
        self._changed = asyncio.Event()
        self._reason = "not tried yet"

    @property
    def reason(self) -> str:
        """Why it is not alive, in a few words; empty while it is."""
        return self._reason

    def alive(self) -> bool:
        """Whether the last recording was played to its end."""
        return not self._reason

    def play(self, message: str, language: Language = "both") -> None:
        """Say `message` from now on; what was being said is cut off, unless it is the same."""
        self._want((message, language))

    def stop(self) -> None:
        """Cut off what is being said."""
        self._want(None)

    def _want(self, wanted: tuple[str, Language] | None) -> None:
        if wanted != self._wanted:
            self._wanted = wanted
            self._changed.set()

    async def run(self) -> None:
        """Play what is wanted until cancelled; the program's process ends with it."""
        while True:
            self._changed.clear()
            if self._wanted is None:
                await self._play_file(messages.SILENCE)
                await self._rest(self._probe_s)
            else:
                await self._play_round(*self._wanted)
                await self._rest(self._pause_s if self.alive() else self._again_s)

    async def _play_round(self, message: str, language: Language) -> None:
        for path in messages.files(message, language):
            await self._play_file(path)
            if self._changed.is_set() or not self.alive():
                return

    async def _rest(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    async def _play_file(self, path: Path) -> None:
        if shutil.which(self._command[0]) is None:
            # Most stations have no loudspeaker: finding that out must not cost a new process.
            self._tell(f"{self._command[0]}: not installed")
            return
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                str(path),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            self._tell(f"{self._command[0]}: {error.strerror}")
            return
        ending = asyncio.create_task(process.communicate())
        changed = asyncio.create_task(self._changed.wait())
        try:
            await asyncio.wait(
                (ending, changed),
                timeout=self._file_max_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            self._judge(process, ending, cut_off=changed.done())
        finally:
            changed.cancel()
            if not ending.done():
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
            await ending

    def _judge(
        self,
        process: asyncio.subprocess.Process,
        ending: asyncio.Task[tuple[bytes, bytes]],
        *,
        cut_off: bool,
    ) -> None:
        if not ending.done():
            if not cut_off:
                self._tell(f"{self._command[0]}: still plays after {self._file_max_s:g} s")
        elif process.returncode == 0:
            self._tell("")
        else:
            said = ending.result()[1].decode(errors="replace").strip().splitlines()
            why = said[-1][:_REASON_MAX] if said else f"exit code {process.returncode}"
            self._tell(f"{self._command[0]}: {why}")

    def _tell(self, reason: str) -> None:
        if reason == self._reason:
            return
        if reason:
            logger.warning("the loudspeaker is silent reason=%s", reason)
        else:
            logger.info("the loudspeaker plays")
        self._reason = reason


class RecordingPlayer:
    """Remembers what it was told, for tests: `played` in order, None for a stop."""

    def __init__(self) -> None:
        self.played: list[tuple[str, Language] | None] = []
        self.reason = ""

    @property
    def wanted(self) -> tuple[str, Language] | None:
        """What it would say now."""
        return self.played[-1] if self.played else None

    def play(self, message: str, language: Language = "both") -> None:
        """Remember a message."""
        self.played.append((message, language))

    def stop(self) -> None:
        """Remember a stop."""
        self.played.append(None)

    def alive(self) -> bool:
        """Whether no test has given it a reason to fail."""
        return not self.reason
