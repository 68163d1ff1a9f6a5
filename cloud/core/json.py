"""JSON as HQ writes it: instants as ISO 8601 in UTC with `Z`, UUIDs as text."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.responses import JSONResponse

_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS


def dumps(content: Any) -> bytes:
    """Return content as JSON."""
    return orjson.dumps(content, option=_OPTIONS, default=str)


def dumps_text(content: Any) -> str:
    """Return content as JSON text, for the database."""
    return dumps(content).decode()


class FastJson(JSONResponse):
    """An answer made from plain dicts without a second validation: for long lists."""

    def render(self, content: Any) -> bytes:
        """Return the body."""
        return dumps(content)
