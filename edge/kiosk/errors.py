"""The agent's refusals in the language of the screen."""

from __future__ import annotations

import re

from edge.kiosk.look import Look

_KNOWN = (
    (re.compile(r"pin: wrong, (\d+) tries left"), "error.pin_wrong"),
    (re.compile(r"pin: wrong; locked for (\d+) s"), "error.pin_locked"),
    (re.compile(r"pin: locked .* (\d+) s left"), "error.pin_locked"),
    (re.compile(r"pin: none is set"), "error.pin_none"),
    (re.compile(r"pin: (.+) is .+, this needs"), "error.pin_role"),
    (re.compile(r"pin: needed"), "error.pin_needed"),
    (re.compile(r"unknown_alarm"), "error.unknown_alarm"),
    (re.compile(r"critical:"), "error.critical"),
    (re.compile(r"nothing is blocked"), "error.not_blocked"),
    (re.compile(r"what tripped is still|still reports what tripped"), "error.still_dangerous"),
    (re.compile(r"something else blocks"), "error.blocked_anew"),
    (re.compile(r"no such connector"), "error.no_connector"),
    (re.compile(r"drill: one is under way"), "error.drill_running"),
    (re.compile(r"drill: not while an alarm"), "error.drill_alarm"),
    (re.compile(r"drill: no siren"), "error.drill_nothing"),
    (re.compile(r"something wider blocks"), "error.wider"),
    (re.compile(r"reason:"), "error.reason"),
    (re.compile(r"until:"), "error.until"),
    (re.compile(r"has not been heard of"), "error.no_values"),
    (re.compile(r"could not do this"), "error.failed"),
)


def in_words(error: str, look: Look) -> str:
    """Return a refusal in words; one that is not known here is shown as the agent says it."""
    if not error:
        return look.text("ask.no_agent")
    for pattern, key in _KNOWN:
        found = pattern.search(error)
        if found is not None:
            return look.text(key).format(*found.groups())
    return look.pick(error, error)
