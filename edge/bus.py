"""EventBus: synchronous, ordered, fault-isolated fan-out of facts inside the station."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from shared.clock import Clock

logger = logging.getLogger(__name__)

Fact_contra = TypeVar("Fact_contra", contravariant=True)
Handler = Callable[[Any], None]

_COMPLAIN_EVERY_S = 60.0


class _Subscription:
    """One handler, what it wants, and how often it failed."""

    __slots__ = ("failures", "handler", "kinds", "logged_s", "name", "unlogged")

    def __init__(self, name: str, handler: Handler, kinds: tuple[type, ...]) -> None:
        self.name = name
        self.handler = handler
        self.kinds = kinds
        self.failures = 0
        self.unlogged = 0
        self.logged_s: float | None = None


class EventBus(Generic[Fact_contra]):
    """Calls every handler of a fact, in order of subscription, before `publish` returns.

    The order of subscription is the order of importance: safety first. Handlers do not wait and
    do not block. A handler that raises is logged (at most once a minute) and the others run. A
    fact that a handler publishes is delivered after the one it is handling, so that every
    handler sees all facts in one order.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._subscriptions: list[_Subscription] = []
        self._by_kind: dict[type, tuple[_Subscription, ...]] = {}
        self._waiting: deque[Fact_contra] = deque()
        self._busy = False

    def subscribe(self, name: str, handler: Handler, *kinds: type) -> None:
        """Add a handler behind all others; without `kinds` it gets every fact."""
        self._subscriptions.append(_Subscription(name, handler, kinds))
        self._by_kind.clear()

    def publish(self, fact: Fact_contra) -> None:
        """Deliver a fact; inside a handler, deliver it after the present one."""
        if self._busy:
            self._waiting.append(fact)
            return
        self._busy = True
        try:
            self._deliver(fact)
            while self._waiting:
                self._deliver(self._waiting.popleft())
        finally:
            self._busy = False

    def failures(self) -> dict[str, int]:
        """Return how often each handler raised."""
        return {each.name: each.failures for each in self._subscriptions}

    def _deliver(self, fact: Fact_contra) -> None:
        kind = type(fact)
        subscriptions = self._by_kind.get(kind)
        if subscriptions is None:
            subscriptions = self._listeners(kind)
        for subscription in subscriptions:
            try:
                subscription.handler(fact)
            except Exception as error:  # noqa: BLE001 - one's bug must not silence the others
                self._failed(subscription, kind, error)

    def _listeners(self, kind: type) -> tuple[_Subscription, ...]:
        found = tuple(each for each in self._subscriptions if not each.kinds or kind in each.kinds)
        self._by_kind[kind] = found
        return found

    def _failed(self, subscription: _Subscription, kind: type, error: Exception) -> None:
        """Count a failure; log it with its traceback, but not more than once a minute."""
        subscription.failures += 1
        now_s = self._clock.monotonic_s()
        if subscription.logged_s is not None and now_s - subscription.logged_s < _COMPLAIN_EVERY_S:
            subscription.unlogged += 1
            return
        logger.error(
            "handler failed name=%s fact=%s not_logged_before=%d",
            subscription.name,
            kind.__name__,
            subscription.unlogged,
            exc_info=error,
        )
        subscription.logged_s = now_s
        subscription.unlogged = 0
