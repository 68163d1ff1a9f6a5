"""How long a condition must hold before it counts, and be gone before it is over."""

from __future__ import annotations


class Hold:
    """Turns verdicts into one on and one off.

    A verdict that is not known neither starts, nor ends, nor fulfils a hold: what was seen before
    counts on when values are good again, so a noisy line does not hide a fire.
    """

    __slots__ = (
        "_clear_s",
        "_hold_s",
        "_quiet_from_s",
        "_quiet_to_s",
        "_since_s",
        "active",
        "waiting",
    )

    def __init__(self, hold_s: float, clear_s: float, *, active: bool = False) -> None:
        self._hold_s = hold_s
        self._clear_s = clear_s
        self._since_s: float | None = None
        self._quiet_from_s: float | None = None
        self._quiet_to_s = 0.0
        self.active = active
        self.waiting = False
        """Whether time alone may change it: `due` wants to be asked."""

    @property
    def quiet_s(self) -> float:
        """For how long values have said without a break that nothing is there, seconds."""
        return 0.0 if self._quiet_from_s is None else self._quiet_to_s - self._quiet_from_s

    def feed(self, verdict: bool | None, mono_s: float) -> bool:
        """Take a verdict; return whether `active` changed."""
        if verdict is not False:
            self._quiet_from_s = None
        elif self._quiet_from_s is None:
            self._quiet_from_s = mono_s
        self._quiet_to_s = mono_s
        if verdict is None:
            self.waiting = False
            return False
        if verdict is self.active:
            self._since_s, self.waiting = None, False
            return False
        if self._since_s is None:
            self._since_s = mono_s
        self.waiting = True
        return self.due(mono_s)

    def due(self, mono_s: float) -> bool:
        """Look at the time; return whether `active` changed."""
        if self._since_s is None or not self.waiting:
            return False
        if mono_s - self._since_s < (self._clear_s if self.active else self._hold_s):
            return False
        self.active, self._since_s, self.waiting = not self.active, None, False
        return True
