"""How long the conversations with charge points wait, as data: one profile, one set of numbers."""

from __future__ import annotations

from msgspec import Struct


class Timing(Struct, frozen=True):
    """Waits in seconds of monotonic time.

    Attributes:
        answer_s: for one answer, before the next try.
        tries: how often a frame is sent in all where repeating it is harmless.
        start_wait_s: for the outcome of a remote start; a second answer may come that late.
        silence_min_s, silence_max_s: bounds of the silence limit that a charge point's
            configuration gives; beyond it the link is closed.
        login_s: how long a link may stay without a login. One look a second makes 14 close
            within 15.
        bad_frames_per_min: a link with more is closed.
        probe_s: how long the present holder of a number may take to show that it lives when
            somebody else logs in with it.
        tick_s: between two looks at the clock.
        linger_s: how long a closing link may take to send what was written.
    """

    answer_s: float = 10.0
    tries: int = 3
    start_wait_s: float = 90.0
    silence_min_s: float = 6.0
    silence_max_s: float = 600.0
    login_s: float = 14.0
    bad_frames_per_min: int = 20
    probe_s: float = 2.0
    tick_s: float = 1.0
    linger_s: float = 5.0


NORMAL = Timing()
FAST = Timing(answer_s=2.0, start_wait_s=20.0, login_s=10.0, probe_s=1.0, tick_s=0.25, linger_s=1.0)
PROFILES = {"normal": NORMAL, "fast": FAST}
