"""Differences between documents name what changed, not where it moved to."""

from __future__ import annotations

from typing import Any

import pytest

from cloud.protection.rules import Change, differences

RULES = [{"rule_id": "a", "above": 55}, {"rule_id": "b", "above": 60}]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {}, []),
        ({"rules": RULES}, {"rules": RULES[::-1]}, []),
        ({"rules": RULES}, {"rules": [RULES[1]]}, [Change("rules[a]", RULES[0], "")]),
        (
            {"rules": RULES},
            {"rules": [{"rule_id": "a", "above": 50}, RULES[1]]},
            [Change("rules[a].above", 55, 50)],
        ),
        ({"zones": [{"name": "A"}]}, {}, [Change("zones", [{"name": "A"}], "")]),
        (
            {"zones": [{"name": "A", "connectors": [["1", 1]]}]},
            {"zones": [{"name": "A", "connectors": [["1", 2]]}]},
            [Change("zones[A].connectors", [["1", 1]], [["1", 2]])],
        ),
        (
            {"site": {"name_zh": "x"}},
            {"site": {"name_zh": "y"}},
            [Change("site.name_zh", "x", "y")],
        ),
        (
            {"x": [{"name": "a"}, {"name": "a"}]},
            {"x": [{"name": "a"}]},
            [Change("x", [{"name": "a"}, {"name": "a"}], [{"name": "a"}])],
        ),
    ],
)
def test_each_difference_is_one(before: Any, after: Any, expected: list[Change]) -> None:
    assert list(differences(before, after)) == expected
