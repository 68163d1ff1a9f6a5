"""Space kept free for facts that must not be lost, for the hour when the disk is full."""

from __future__ import annotations

import logging
import os
from pathlib import Path

logger = logging.getLogger(__name__)

SIZE = 4 * 1024 * 1024
"""Bytes; some thousand transaction records."""
_ROOM_FACTOR = 4
"""The disk must have so many times the size free before we take it."""


class Reserve:
    """A file of real blocks beside the journal, given up when nothing else is left."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def make(self) -> None:
        """Take the space if it is not taken and the disk has plenty. Blocks; never raises."""
        try:
            disk = os.statvfs(self._path.parent)
            if self._path.exists() or disk.f_bavail * disk.f_frsize < SIZE * _ROOM_FACTOR:
                return
            with self._path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, SIZE)
        except OSError as error:
            logger.warning("no space reserved file=%s: %s", self._path, error)

    def release(self) -> bool:
        """Give the space back; say whether there was any."""
        try:
            self._path.unlink()
        except OSError:
            return False
        logger.error("disk full, reserved space given up bytes=%d", SIZE)
        return True
