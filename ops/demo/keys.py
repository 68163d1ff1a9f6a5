"""Single keys from a terminal, without Enter; nothing happens where there is no terminal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import termios
import tty
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def keys(pressed: Callable[[str], None]) -> Iterator[bool]:
    """Call `pressed` with each key while it lasts; yields whether there is a terminal.

    Ctrl-C stays a signal. The terminal is put back as it was.
    """
    if not _is_terminal():
        yield False
        return
    file = sys.stdin.fileno()
    before = termios.tcgetattr(file)
    loop = asyncio.get_running_loop()

    def readable() -> None:
        try:
            data = os.read(file, 64)
        except OSError:
            data = b""
        if not data:  # the terminal was closed: nobody can press anything any more
            loop.remove_reader(file)
        for key in data.decode(errors="ignore"):
            pressed(key)

    tty.setcbreak(file, termios.TCSANOW)
    loop.add_reader(file, readable)
    try:
        yield True
    finally:
        loop.remove_reader(file)
        with contextlib.suppress(termios.error):  # a terminal that is gone needs no care
            termios.tcsetattr(file, termios.TCSANOW, before)


def _is_terminal() -> bool:
    try:
        # In the background of a shell, changing the terminal would stop the whole demo.
        return sys.stdin.isatty() and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        return False
