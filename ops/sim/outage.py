"""Says that charge points cannot connect: when the first one fails, then each minute."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

_AGAIN_S = 60.0


class Outage:
    """Which charge points of a site cannot connect. Used on a running event loop.

    Args:
        where: The address that does not answer.
        say: Told in a line, also when all are connected again.
        again_s: How often it is repeated while it lasts.
    """

    def __init__(self, where: str, say: Callable[[str], None], *, again_s: float = _AGAIN_S):
        self._where = where
        self._say = say
        self._again_s = again_s
        self._why: dict[str, str] = {}
        self._timer: asyncio.TimerHandle | None = None

    def failed(self, charge_point_no: str, error: OSError) -> None:
        """Note that one could not connect."""
        # asyncio puts words of its own around the system's; those of resolvers are below 0.
        known = error.errno is not None and error.errno > 0
        self._why[charge_point_no] = os.strerror(error.errno or 0) if known else str(error)
        if self._timer is None:
            self._tell()

    def connected(self, charge_point_no: str) -> None:
        """Note that one is connected."""
        self._why.pop(charge_point_no, None)
        if self._timer is not None and not self._why:
            self.stop()
            self._say(f"connected to {self._where}")

    def stop(self) -> None:
        """Say nothing more of it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tell(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._again_s, self._tell)
        count, why = len(self._why), next(reversed(self._why.values()))
        who = f"{count} charge point{'' if count == 1 else 's'}"
        self._say(f"{who} cannot connect to {self._where}: {why}; trying on")
