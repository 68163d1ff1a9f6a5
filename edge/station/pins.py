"""Who may act at the station's screen: PINs, as argon2id hashes, and what wrong ones cost.

HQ publishes PINs; the station's own stand in a file that only the agent's user can write. Where
both name one person, HQ's holds. A PIN itself is never stored, logged or sent on.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import secrets
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import argon2
import msgspec

from edge.journal import Change, Put
from edge.station.stored import decode_one
from shared.contracts.commands import PublishPins
from shared.contracts.protection import Pin
from shared.errors import RefusedError

logger = logging.getLogger(__name__)

KIND = "pins"
FILE = "pins.json"
"""Name of the station's own list, in the data folder."""
STAFF, CHIEF = "staff", "chief"
ROLES = (STAFF, CHIEF)
"""What people may do, least first."""
DIGITS_MIN, DIGITS_MAX = 4, 12
WRONG_MAX = 5
LOCKED_S = 60.0
READ_WAIT_S = 0.5
"""An attempt waits this long for the station's own list; after that the last one holds."""
_PUBLISHED = "published"
_NAME_MAX = 40
_DIGITS_MADE = 6
_MODE = 0o600
_MEMORY_MAX_KIB = 256 * 1024
_TIME_COST_MAX = 10
_hasher = argon2.PasswordHasher()
_Read = tuple[Pin, ...] | OSError | ValueError


class PinError(RefusedError):
    """A PIN that does not open anything now; the text is for whoever typed it."""


def make_pin() -> str:
    """Return a new PIN of six digits."""
    return "".join(secrets.choice("0123456789") for _ in range(_DIGITS_MADE))


def hash_pin(pin: str) -> str:
    """Return what is stored of a PIN; takes about 50 ms. Raises ValueError: not 4–12 digits."""
    if not is_pin(pin):
        raise ValueError(f"a PIN has {DIGITS_MIN} to {DIGITS_MAX} digits")
    return _hasher.hash(pin)


def is_pin(text: str) -> bool:
    """Whether a text could be a PIN."""
    return text.isascii() and text.isdigit() and DIGITS_MIN <= len(text) <= DIGITS_MAX


def check_pins(pins: Iterable[Pin], where: str) -> None:
    """Check a list of PINs. Raises ValueError that starts with the wrong field's path."""
    names = set()
    for number, pin in enumerate(pins):
        path = f"{where}[{number}]"
        if not pin.name.strip() or not pin.name.isprintable() or len(pin.name) > _NAME_MAX:
            raise ValueError(f"{path}.name: 1 to {_NAME_MAX} printable letters")
        if pin.name in names:
            raise ValueError(f"{path}.name: {pin.name!r} is there twice")
        names.add(pin.name)
        if pin.role not in ROLES:
            raise ValueError(f"{path}.role: {pin.role!r}, use one of {', '.join(ROLES)}")
        if problem := _problem_of(pin.hash):
            raise ValueError(f"{path}.hash: {problem}")


def _problem_of(text: str) -> str:
    try:
        parameters = argon2.extract_parameters(text)
    except argon2.exceptions.InvalidHashError:
        return "not an argon2id hash"
    if parameters.type is not argon2.Type.ID:
        return "not an argon2id hash"
    if parameters.memory_cost > _MEMORY_MAX_KIB or parameters.time_cost > _TIME_COST_MAX:
        return "costs more memory or time than a station has"
    return ""


def load_file(path: Path) -> tuple[Pin, ...]:
    """Read the station's own list; empty without a file.

    Raises:
        ValueError: The file is not such a list.
        OSError: It cannot be read.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return ()
    try:
        pins = msgspec.json.decode(text, type=tuple[Pin, ...])
    except msgspec.MsgspecError as error:
        raise ValueError(f"{path}: not a list of PINs: {error}") from error
    check_pins(pins, str(path))
    return pins


def save_file(path: Path, pins: Iterable[Pin]) -> None:
    """Replace the station's own list, for the folder's owner alone. Raises OSError."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(msgspec.to_builtins(list(pins)), file, ensure_ascii=False, indent=1)
        owner = path.parent.stat()
        if os.geteuid() == 0 != owner.st_uid:
            # Set as root for an agent that runs as somebody else.
            os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


class PinBook:
    """All PINs of the station. One attempt at a time; five wrong ones lock for a minute."""

    def __init__(self, stored: dict[str, bytes], monotonic_s: Callable[[], float]) -> None:
        """Take what the journal holds under `KIND`; `use_file` adds the station's own."""
        self._monotonic_s = monotonic_s
        self._published = decode_one(stored, _PUBLISHED, PublishPins)
        self._file: Path | None = None
        self._own: tuple[Pin, ...] = ()
        self._reading: asyncio.Future[None] | None = None
        # Not the threads that all share: those may all hang on a disk.
        self._hashing = ThreadPoolExecutor(1, "pins")
        self._one_at_a_time = asyncio.Lock()
        self._wrong = 0
        self._locked_until_s = 0.0

    @property
    def version(self) -> int:
        """Version of HQ's list, 0 without one."""
        return self._published.version if self._published else 0

    def use_file(self, path: Path) -> None:
        """Read the station's own list from here, now and before each attempt. Blocks."""
        self._file = path
        self._take(_read(path))

    async def refresh(self) -> None:
        """Read the station's own list again.

        A disk that fails, or takes longer than `READ_WAIT_S`, takes no PIN away: the last list
        holds until another was read. One that is no list opens nothing.
        """
        if self._file is None:
            return
        if self._reading is None or self._reading.done():
            self._reading = self._read_aside(self._file)
        await asyncio.wait({self._reading}, timeout=READ_WAIT_S)

    def _read_aside(self, path: Path) -> asyncio.Future[None]:
        """Read in a thread of its own: one that hangs holds up no other, and no end of us."""
        loop = asyncio.get_running_loop()
        done = loop.create_future()

        def finish(read: _Read) -> None:
            self._take(read)
            done.set_result(None)

        def run() -> None:
            read = _read(path)
            # A loop that has ended meanwhile wants nothing any more.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(finish, read)

        threading.Thread(target=run, name="own PINs", daemon=True).start()
        return done

    def _take(self, read: _Read) -> None:
        if isinstance(read, tuple):
            self._own = read
            return
        logger.error("own PINs not read file=%s: %s", self._file, read)
        if not isinstance(read, OSError):
            self._own = ()

    def people(self) -> list[Pin]:
        """Return whose PINs open something; HQ's hold where both name one person."""
        theirs = self._published.pins if self._published else ()
        return list({pin.name: pin for pin in (*self._own, *theirs)}.values())

    def set_on_site(self) -> tuple[Pin, ...]:
        """Return the station's own list."""
        return self._own

    def put(self, command: PublishPins) -> Change:
        """Take HQ's list. Raises ValueError with the path of the first wrong field."""
        check_pins(command.pins, "pins")
        self._published = command
        return self._stored(command)

    def everything(self) -> list[Change]:
        """Return the stored form of HQ's list."""
        return [self._stored(self._published)] if self._published else []

    def _stored(self, published: PublishPins) -> Put:
        return Put(KIND, _PUBLISHED, msgspec.msgpack.encode(published))

    async def check(self, pin: str, role: str = STAFF) -> str:
        """Return whose PIN this is.

        Raises:
            PinError: It is nobody's, its owner may not do this, there are no PINs at all, or
                too many wrong ones were tried.
        """
        async with self._one_at_a_time:
            left_s = self._locked_until_s - self._monotonic_s()
            if left_s > 0:
                seconds = f"{left_s:.0f}"
                raise PinError(
                    "pin_locked",
                    f"pin: locked after {WRONG_MAX} wrong ones, {seconds} s left",
                    seconds,
                )
            await self.refresh()
            people, loop = self.people(), asyncio.get_running_loop()
            owner = await loop.run_in_executor(self._hashing, _owner, people, pin)
            if owner is None:
                raise self._refuse(pin)
            self._wrong = 0
        if ROLES.index(owner.role) < ROLES.index(role):
            raise PinError(
                "pin_role", f"pin: {owner.name} is {owner.role}, this needs {role}", owner.name
            )
        return owner.name

    def _refuse(self, pin: str) -> PinError:
        if not self.people():
            return PinError(
                "pin_none", "pin: none is set here; `vw edge pin set --config …` sets one"
            )
        if not pin:
            return PinError("pin_needed", "pin: needed for this")
        self._wrong += 1
        if self._wrong < WRONG_MAX:
            left = WRONG_MAX - self._wrong
            return PinError("pin_wrong", f"pin: wrong, {left} tries left", left)
        self._wrong = 0
        self._locked_until_s = self._monotonic_s() + LOCKED_S
        logger.warning("PINs locked seconds=%d wrong=%d", LOCKED_S, WRONG_MAX)
        seconds = f"{LOCKED_S:.0f}"
        return PinError("pin_locked", f"pin: wrong; locked for {seconds} s", seconds)


def _read(path: Path) -> _Read:
    try:
        return load_file(path)
    except (OSError, ValueError) as error:
        return error


def _owner(people: list[Pin], pin: str) -> Pin | None:
    """Find whose PIN it is; in a thread, because every comparison is made to take long."""
    if not is_pin(pin):
        return None
    return next((person for person in people if _matches(person.hash, pin)), None)


def _matches(hashed: str, pin: str) -> bool:
    try:
        return _hasher.verify(hashed, pin)
    except argon2.exceptions.VerificationError:
        return False
    except argon2.exceptions.InvalidHashError:
        return False
