"""Text from outside: one line of printable characters and no more of it than anything needs."""

from __future__ import annotations

import re

from fastapi import Request

from cloud.core.errors import BusinessError

TEXT_MAX = 1_000
"""Characters of one parameter; `Last-Event-ID` and bodies have limits of their own."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


class InvalidTextError(BusinessError):
    """A parameter is too long or holds control characters, which nothing here has."""

    status = 422
    code = "invalid_request"


def refuse_control_characters(request: Request) -> None:
    """Check every parameter of a path and a query, whatever it is for.

    Raises:
        InvalidTextError: One of them can mean nothing here.
    """
    values = [*request.path_params.items(), *request.query_params.multi_items()]
    for name, value in values:
        if len(str(value)) > TEXT_MAX or _CONTROL.search(str(value)):
            raise InvalidTextError(f"{name} is too long or holds control characters", field=name)
