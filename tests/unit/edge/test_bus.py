"""The bus: order, kinds, and facts that handlers publish themselves."""

from __future__ import annotations

from edge.bus import EventBus
from shared.clock import SystemClock


def test_handlers_get_what_they_asked_for_in_order_of_subscription() -> None:
    bus: EventBus[object] = EventBus(SystemClock())
    seen: list[tuple[str, object]] = []
    bus.subscribe("safety", lambda fact: seen.append(("safety", fact)), int)
    bus.publish("before the second came")
    bus.subscribe("all", lambda fact: seen.append(("all", fact)))
    bus.publish(1)
    bus.publish("text")
    assert seen == [("safety", 1), ("all", 1), ("all", "text")]


def test_all_handlers_see_all_facts_in_one_order() -> None:
    bus: EventBus[int] = EventBus(SystemClock())
    seen: list[tuple[str, int]] = []

    def first(fact: int) -> None:
        seen.append(("first", fact))
        if fact == 1:
            bus.publish(2)
            bus.publish(3)

    bus.subscribe("first", first)
    bus.subscribe("second", lambda fact: seen.append(("second", fact)))
    bus.publish(1)
    assert seen == [(name, fact) for fact in (1, 2, 3) for name in ("first", "second")]
