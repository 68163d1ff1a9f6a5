"""Effects outside the database, done only once the transaction that asks for them is committed."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from sqlalchemy.ext.asyncio import AsyncSession

logger = logging.getLogger(__name__)

Action = Callable[[], Awaitable[None]]
_KEY = "after_commit"


class AfterCommit:
    """What to do after the commit, in order. On rollback it is simply dropped."""

    def __init__(self) -> None:
        self._actions: list[Action] = []

    def add(self, action: Action) -> None:
        """Have `action` awaited after the commit. It must not need the session."""
        self._actions.append(action)

    def extend(self, other: AfterCommit) -> None:
        """Take over what a nested transaction collected."""
        self._actions.extend(other._actions)

    async def run(self) -> None:
        """Do everything once; one failure is logged and does not stop the rest."""
        actions, self._actions = self._actions, []
        for action in actions:
            try:
                await action()
            except Exception:
                logger.exception("after-commit action failed action=%r", action)


def after_commit(session: AsyncSession) -> AfterCommit:
    """Return the list that belongs to a session's transaction."""
    actions = session.info.get(_KEY)
    if not isinstance(actions, AfterCommit):
        actions = session.info[_KEY] = AfterCommit()
    return actions
