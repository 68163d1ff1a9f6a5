"""Addresses with a log-in in them, in a form that may be shown and logged."""

from __future__ import annotations

import re

# Greedy, up to the last @: a password may hold any character, also those that it should not.
_LOG_IN = re.compile(r"\A(?:([^:/@]*://)|(?![^:/@]*://))([^:]*):.*@", re.DOTALL)
_IN_QUERY = re.compile(r"([?&](?:ssl)?password=)[^&]*", re.IGNORECASE)


def hide_password(text: str) -> str:
    """Return an address with *** for its password, also when it is badly written.

    Rather too much is hidden than too little: of other text what stands between : and @.
    """
    return _IN_QUERY.sub(r"\1***", _LOG_IN.sub(r"\1\2:***@", text))
