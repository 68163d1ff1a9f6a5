"""What goes wrong in one step of protection must not take the next step with it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)


@contextmanager
def surviving(what: str) -> Iterator[None]:
    """Log what goes wrong inside, and go on behind it."""
    try:
        yield
    except Exception:
        # A bug in one stop, siren or rule: the others are needed all the more.
        logger.exception("protection goes on without: %s", what)
