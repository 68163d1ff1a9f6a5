"""Named places where a crash test has the agent die or fail. Dead code outside tests.

`VW_FAILPOINT=NAME:ACTION[:N[:ABOUT]]` arms one of them, and only with `VW_ENV=test`: at its N-th
hit (the first by default) the process ends at once (`exit`) or the storage fails (`error`). With
ABOUT only hits count that are about that, for example state of the kind `closed`.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Mapping

from shared.errors import ConfigError

FAILPOINTS = frozenset(
    {
        "journal.before_commit",
        "journal.after_commit_before_done",
        "journal.after_ack_before_delete",
        "telemetry.before_commit",
        "telemetry.after_seal_before_ready",
    }
)
"""Every failpoint there is; a test hits each."""

EXIT_CODE = 86
_ACTIONS = ("exit", "error")


class Failpoints:
    """The failpoint that is armed, if any. Each holder counts its own hits."""

    def __init__(self, armed: str = "") -> None:
        name, _, rest = armed.partition(":")
        action, _, rest = rest.partition(":")
        count, _, about = rest.partition(":")
        if armed and (name not in FAILPOINTS or action not in _ACTIONS):
            raise ConfigError(f"VW_FAILPOINT={armed}: expected NAME:exit|error[:N[:ABOUT]]")
        self._name = name
        self._action = action
        self._hits_left = int(count or 1)
        self._about = about

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Failpoints:
        """Read `VW_FAILPOINT`, once. Raises ConfigError for one that does not exist."""
        if environment.get("VW_ENV") != "test":
            return cls()
        return cls(environment.get("VW_FAILPOINT", ""))

    def hit(self, name: str, about: Collection[str] = ()) -> None:
        """Do what is armed for this place. Raises OSError for `error`."""
        if name != self._name or (self._about and self._about not in about):
            return
        self._hits_left -= 1
        if self._hits_left != 0:
            return
        if self._action == "exit":
            os._exit(EXIT_CODE)  # nothing is flushed or closed, as with kill -9
        raise OSError(errno.EIO, f"failpoint {name}")
