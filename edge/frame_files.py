"""Files of the frame log as they lie on the disk: found, read, replayed."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import zstandard

OPEN = ".hex"
CLOSED = ".zst"
DAY_FILE = re.compile(r"(?:[0-9a-f]{14}|_unknown)/\d{4}-\d\d-\d\d\.hex")
_DAY_NAME = re.compile(r"(\d{4}-\d\d-\d\d)\.hex(?:\.zst)?")
_FOLDER_MODE = 0o700


def secure_folder(path: Path) -> None:
    """Make a folder that only its owner may enter."""
    path.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)


def day_paths(root: Path, charge_point_no: str = "*") -> Iterator[tuple[date, Path]]:
    """Return (local day, file) of all day files below a frame log, oldest first."""
    found = []
    for path in root.glob(f"{charge_point_no}/*{OPEN}*"):
        if match := _DAY_NAME.fullmatch(path.name):
            try:
                found.append((date.fromisoformat(match[1]), path))
            except ValueError:  # a name that only looks like a day
                continue
    yield from sorted(found)


def read_raw_lines(path: Path) -> Iterator[bytes]:
    """Return the lines of an open or a compressed day file, each with its end."""
    with path.open("rb") as file:
        if path.suffix != CLOSED:
            yield from file
            return
        # A day may consist of several compressed parts.
        reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
        with io.BufferedReader(reader) as lines:
            yield from lines


def read_day(path: Path) -> Iterator[tuple[datetime, str, bytes]]:
    """Return (time, direction, raw bytes) of a day file, in order; torn lines are left out."""
    for line in read_raw_lines(path):
        parts = line.split(None, 3)
        if len(parts) < 3 or not line.endswith(b"\n"):
            continue
        try:
            at = datetime.fromisoformat(parts[0].decode("ascii"))
            raw = bytes.fromhex(parts[2].decode("ascii"))
        except ValueError:
            continue
        if parts[1] in (b"<", b">", b"!") and at.tzinfo is not None:
            yield at, parts[1].decode("ascii"), raw
