"""The frame log: every raw frame in hex, one file for each charge point and local day.

It is evidence, not a log: `frames/<number>/<date>.hex`, readable by the agent's user only. A line
is `2026-11-22T14:03:22.123456+08:00 < 68…`: `<` came in, `>` went out, `!` was no frame. What has
no number logged in is under `_unknown/`. A frame with a password is kept with the password's bytes
zeroed and its checksum made anew; ` redacted` at the end of the line says so.

`append` only keeps a reference; `flush`, called once a second in a thread, does the work. Nothing
here raises into the caller: what fails is counted in `stats`.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from datetime import date, datetime
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import zstandard

from edge.frame_files import (
    CLOSED,
    DAY_FILE,
    OPEN,
    day_paths,
    read_day,
    read_raw_lines,
    secure_folder,
)
from shared.contracts.events import FrameReference

logger = logging.getLogger(__name__)

UNKNOWN = "_unknown"
RECORDS = "records.hex"
_OLDER_RECORDS = "records.old.hex"
_RECORDS_DAYS = 30
"""The second copy of records goes on in a new file after so long; the one before is kept."""
REDACTED = " redacted"
_PENDING_MAX = 200_000
_PENDING_BYTES_MAX = 64 * 1024 * 1024
"""Frames and bytes of frames that wait in memory while the disk does not keep up."""
_DAY_MAX = 1024 * 1024 * 1024
_UNKNOWN_DAY_MAX = 64 * 1024 * 1024
"""Bytes of a charge point's day, and of a day of everything that has no number logged in."""
_FILES_MAX = 256
_LINES_READ_MAX = 20_000
_FILE_MODE = 0o600

RawFrames = Sequence[tuple[str, str, bytes]]


class FrameLogStats(msgspec.Struct):
    """What happened since the start. `dropped` frames found no room, `lost` no disk."""

    written: int = 0
    dropped: int = 0
    lost: int = 0
    write_errors: int = 0
    redacted: int = 0
    removed_files: int = 0


class FrameLog:
    """Writes and reads the frame log below `root`.

    `append` belongs to the event loop; all else blocks on the disk and may run in any thread.
    """

    def __init__(
        self,
        root: Path,
        zone: ZoneInfo,
        *,
        redact: Callable[[bytes], bytes | None] = lambda _: None,
        is_record: Callable[[bytes], bool] = lambda _: False,
        is_plain: Callable[[bytes], bool] = lambda _: False,
        retention_days: int = 400,
        size_max_bytes: int = 20_000_000_000,
        day_max_bytes: int = _DAY_MAX,
        unknown_day_max_bytes: int = _UNKNOWN_DAY_MAX,
        pending_max_bytes: int = _PENDING_BYTES_MAX,
    ) -> None:
        """Open nothing yet; folders are made when they are needed.

        Args:
            root: The folder of all files.
            zone: Days and times are the station's.
            redact: A frame without its passwords, None when it carries none.
            is_record: Whether a frame is one of which a second copy is kept.
            is_plain: Whether `redact` and `is_record` need not be asked: for nearly all frames.
            retention_days: Days that are kept.
            size_max_bytes: All files together; the oldest days give way.
            day_max_bytes: One charge point's day.
            unknown_day_max_bytes: The day of all that has no number.
            pending_max_bytes: What may wait in memory.
        """
        self._day_max_bytes = day_max_bytes
        self._unknown_day_max_bytes = unknown_day_max_bytes
        self._pending_max_bytes = pending_max_bytes
        self.stats = FrameLogStats()
        self._root = root
        self._zone = zone
        self._redact = redact
        self._is_record = is_record
        self._is_plain = is_plain
        self._retention_days = retention_days
        self._size_max_bytes = size_max_bytes
        self._pending: deque[tuple[int, RawFrames, int]] = deque()
        self._appended_bytes = 0  # by the event loop only
        self._taken_bytes = 0  # under the lock only
        self._files: OrderedDict[str, int] = OrderedDict()
        self._sizes: dict[str, int] = {}
        self._second = -1
        self._local: tuple[str, str, str] = ("", "", "")
        self._lock = threading.Lock()

    def append(self, frames: RawFrames, at_us: int) -> None:
        """Keep frames, all of one moment (UTC microseconds), until the next flush."""
        size = 0
        for frame in frames:
            size += len(frame[2])
        appended = self._appended_bytes + size
        pending = self._pending
        if len(pending) < _PENDING_MAX and appended - self._taken_bytes <= self._pending_max_bytes:
            self._appended_bytes = appended
            pending.append((at_us, frames, size))
        else:
            self.stats.dropped += len(frames)

    def flush(self) -> None:
        """Write what has been appended. Transaction records are on the disk afterwards."""
        with self._lock:
            # The event loop goes on appending meanwhile.
            pending = [self._pending.popleft() for _ in range(len(self._pending))]
            if pending:
                self._taken_bytes += sum(size for _, _, size in pending)
                self._write(pending)

    def close(self) -> None:
        """Write what is left and close all files."""
        self.flush()
        with self._lock:
            while self._files:
                os.close(self._files.popitem()[1])

    # -- writing ---------------------------------------------------------------------------

    def _write(self, pending: list[tuple[int, RawFrames, int]]) -> None:
        lines: dict[str, list[str]] = {}
        records: list[str] = []
        for at_us, frames, _ in pending:
            second, microsecond = divmod(at_us, 1_000_000)
            if second != self._second:
                self._turn_to(second)
            date_, begin, offset = self._local
            time = f"{begin}.{microsecond:06d}{offset}"
            for number, direction, raw in frames:
                plain = self._is_plain(raw)
                mark = ""
                if not plain and (clean := self._redact(raw)) is not None:
                    raw, mark = clean, REDACTED
                    self.stats.redacted += 1
                line = f"{time} {direction} {raw.hex()}{mark}\n"
                name = f"{number or UNKNOWN}/{date_}{OPEN}"
                if name in lines:
                    lines[name].append(line)
                else:
                    lines[name] = [line]
                if not plain and number and direction == "<" and self._is_record(raw):
                    records.append(line)
        for name, parts in lines.items():
            self._append_lines(name, parts, sync=False)
        if records:
            self._append_lines(RECORDS, records, sync=True)

    def _turn_to(self, second: int) -> None:
        """Work out local date, time to the second and offset, which many frames share."""
        local = datetime.fromtimestamp(second, self._zone).isoformat(timespec="seconds")
        self._second = second
        self._local = (local[:10], local[:19], local[19:])

    def _append_lines(self, name: str, lines: list[str], *, sync: bool) -> None:
        try:
            descriptor = self._file(name)
            data = memoryview("".join(lines).encode("ascii"))
            if self._sizes[name] + len(data) > self._most_of(name):
                self.stats.dropped += len(lines)
                return
            self._sizes[name] += len(data)
            while data:
                data = data[os.write(descriptor, data) :]
            if sync:
                os.fsync(descriptor)
        except OSError as error:
            self.stats.write_errors += 1
            self.stats.lost += len(lines)
            if self.stats.write_errors & (self.stats.write_errors - 1) == 0:
                # Once for 1, 2, 4, 8 … failures: a full disk fails every second.
                logger.error(
                    "frame log not written file=%s error=%s failures=%d",
                    name,
                    error,
                    self.stats.write_errors,
                )
            self._let_go(name)
            return
        self.stats.written += len(lines)

    def _most_of(self, name: str) -> int:
        """Return the bytes that a file may have; records are never cut."""
        if name == RECORDS:
            return sys.maxsize
        is_unknown = name.startswith(f"{UNKNOWN}/")
        return self._unknown_day_max_bytes if is_unknown else self._day_max_bytes

    def _file(self, name: str) -> int:
        """Return an open file to append to; the one that was used longest ago gives way."""
        descriptor = self._files.get(name)
        if descriptor is not None:
            self._files.move_to_end(name)
            return descriptor
        path = self._root / name
        secure_folder(self._root)
        secure_folder(path.parent)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(path, flags, _FILE_MODE)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                os.write(descriptor, b"\n")  # a line that a power cut tore stays alone
        except OSError:
            # A disk that stays full tears lines and then takes not one byte: each try opens anew.
            os.close(descriptor)
            raise
        self._files[name] = descriptor
        self._sizes[name] = size
        if len(self._files) > _FILES_MAX:
            oldest, stale = self._files.popitem(last=False)
            del self._sizes[oldest]
            os.close(stale)
        return descriptor

    # -- keeping house ---------------------------------------------------------------------

    def maintain(self, now: datetime) -> None:
        """Compress closed days, remove what is too old or too much. Call it hourly.

        The lock is held for moments only: a record waits for a flush before it is confirmed.
        """
        today = now.astimezone(self._zone).date()
        for day, path in day_paths(self._root):
            try:
                if (today - day).days > self._retention_days:
                    self._remove(path)
                elif path.suffix == OPEN and day < today:
                    self._compress(path)
            except OSError as error:
                logger.error("frame log not kept in order file=%s error=%s", path, error)
        with self._lock:
            self._turn_records(today)
        self._shrink(today)

    def _turn_records(self, today: date) -> None:
        path = self._root / RECORDS
        try:
            with path.open("rb") as file:
                began = _time_of(file.readline())
            if began is None or (today - began.date()).days <= _RECORDS_DAYS:
                return
            self._let_go(RECORDS)
            path.replace(self._root / _OLDER_RECORDS)
        except FileNotFoundError:
            return
        except OSError as error:
            logger.error("frame log not kept in order file=%s error=%s", path, error)

    def _compress(self, path: Path) -> None:
        target = path.with_name(path.name + CLOSED)
        making = path.with_name(path.name + ".part")
        # A day that was closed already gets what came late (a clock set back) as a further frame.
        before = target.read_bytes() if target.exists() else b""
        descriptor = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _FILE_MODE)
        with path.open("rb") as source, os.fdopen(descriptor, "wb") as out:
            out.write(before)
            size, _ = zstandard.ZstdCompressor(level=6).copy_stream(source, out)
            out.flush()
            os.fsync(out.fileno())
        with self._lock:
            if path.stat().st_size != size:
                making.unlink()  # something came late; the next look takes it all
                return
            self._let_go(path.relative_to(self._root).as_posix())
            making.replace(target)
            path.unlink()

    def _shrink(self, today: date) -> None:
        """Remove days until the rest is within the size, strangers' first; never today."""
        sized = [
            (path.parent.name != UNKNOWN, day, path, path.stat().st_size)
            for day, path in day_paths(self._root)
        ]
        total = sum(size for *_, size in sized)
        for _, day, path, size in sorted(sized):
            if total <= self._size_max_bytes:
                return
            if day < today:
                self._remove(path)
                total -= size

    def _remove(self, path: Path) -> None:
        with self._lock:
            self._let_go(path.relative_to(self._root).as_posix())
            path.unlink(missing_ok=True)
        self.stats.removed_files += 1

    def _let_go(self, name: str) -> None:
        if (descriptor := self._files.pop(name, None)) is not None:
            del self._sizes[name]
            os.close(descriptor)

    # -- reading ---------------------------------------------------------------------------

    def records_since(self, since: datetime) -> list[tuple[datetime, bytes]]:
        """Return (time, raw frame) of the transaction records since then, oldest first."""
        self.flush()
        with self._lock:
            paths = [self._root / _OLDER_RECORDS, self._root / RECORDS]
            lines = [line for path in paths if path.exists() for line in read_day(path)]
        return [(at, raw) for at, _, raw in lines if at >= since]

    def reference(
        self, charge_point_no: str, since: datetime, until: datetime
    ) -> tuple[FrameReference, ...]:
        """Return where the frames of a number between two instants stand, a range a day."""
        self.flush()
        found = []
        for day, path in day_paths(self._root, charge_point_no):
            first_day = since.astimezone(self._zone).date()
            last_day = until.astimezone(self._zone).date()
            if first_day <= day <= last_day:
                reference = self._range(charge_point_no, path, since, until)
                if reference is not None:
                    found.append(reference)
        return tuple(found)

    def _range(
        self, charge_point_no: str, path: Path, since: datetime, until: datetime
    ) -> FrameReference | None:
        first = last = 0
        held: list[bytes] = []
        for line_no, line in enumerate(read_raw_lines(path), 1):
            at = _time_of(line)
            if at is not None and since <= at <= until:
                first = first or line_no
                last = line_no
            if first:
                held.append(line)
        if not first:
            return None
        digest = hashlib.sha256(b"".join(held[: last - first + 1])).hexdigest()
        # The open name, whatever the file is called by the time somebody asks.
        file = f"{charge_point_no}/{path.name.removesuffix(CLOSED)}"
        return FrameReference(file, first, last, digest)

    def read_lines(self, file: str, first: int, last: int) -> bytes:
        """Return lines first..last (from 1) of a file that a `FrameReference` names.

        Raises:
            ValueError: That is no file of the frame log, or more than 20,000 lines.
            FileNotFoundError: The file is gone.
        """
        if DAY_FILE.fullmatch(file) is None:
            raise ValueError(f"no file of the frame log: {file!r}")
        if not 1 <= first <= last or last - first >= _LINES_READ_MAX:
            raise ValueError(f"lines {first}..{last}: expected 1..{_LINES_READ_MAX} lines")
        self.flush()
        with self._lock:
            path = self._root / file
            if not path.exists():
                path = path.with_name(path.name + CLOSED)
            return b"".join(islice(read_raw_lines(path), first - 1, last))


def _time_of(line: bytes) -> datetime | None:
    try:
        return datetime.fromisoformat(line[: line.index(b" ")].decode("ascii"))
    except ValueError:
        return None
