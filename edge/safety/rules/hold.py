"""How long a condition must hold before it counts, and be gone before it is over."""

from __future__ import annotations


class Hold:
    """Turns verdicts into one on and one off.

    A verdict that is not known neither starts, nor ends, nor fulfils a hold: what was seen before
    counts on when values are good again, so a noisy line does not hide a fire.
    """

    def __init__(self, hold_s: float, clear_s: float, *, active: bool = False) -> None:
        self._hold_s = hold_s
        self._clear_s = clear_s
        self._since_s: float | None = None
        self._known = False
        self._quiet_s: tuple[float, float] | None = None
        self.active = active

    @property
    def waiting(self) -> bool:
        """Whether time alone may change it: `due` wants to be asked."""
        return self._since_s is not None and self._known

    @property
    def quiet_s(self) -> float:
        """For how long values have said without a break that nothing is there, seconds."""
        return self._quiet_s[1] - self._quiet_s[0] if self._quiet_s else 0.0

    def feed(self, verdict: bool | None, mono_s: float) -> bool:
        """Take a verdict; return whether `active` changed."""
        self._known = verdict is not None
        if verdict is False:
            self._quiet_s = (self._quiet_s[0] if self._quiet_s else mono_s), mono_s
        else:
            self._quiet_s = None
        if verdict is None:
            return False
        if verdict is self.active:
            self._since_s = None
            return False
        if self._since_s is None:
            self._since_s = mono_s
        return self.due(mono_s)

    def due(self, mono_s: float) -> bool:
        """Look at the time; return whether `active` changed."""
        if self._since_s is None or not self._known:
            return False
        if mono_s - self._since_s < (self._clear_s if self.active else self._hold_s):
            return False
        self.active, self._since_s = not self.active, None
        return True
