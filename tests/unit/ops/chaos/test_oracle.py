"""The judge of chaos runs sees each way in which books can differ."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ops.chaos.oracle import Books, Charge, HqOrder, Verdict, judge, set_aside

ORDER = HqOrder("1", "billed", 500, 42, 0, 42, 500)


def books(**changes: list[HqOrder] | list[Charge]) -> Books:
    made = Books(
        simulators=[Charge("1", 500, 42), Charge("2", 0, 0)],
        stations=[Charge("1", 500, 42), Charge("2", 0, 0)],
        orders=[ORDER, replace(ORDER, transaction_no="2", state="failed", energy_dwh=0,
                               payable_fen=0, charged_fen=0, billed_dwh=0)],
    )  # fmt: skip
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def verdict(**changes: list[HqOrder] | list[Charge]) -> Verdict:
    found = books(**changes)
    set_aside(found)
    return judge(found)


def test_equal_books_are_good() -> None:
    assert verdict().all() == {}


@pytest.mark.parametrize("name", ["stations", "orders"])
def test_a_transaction_that_one_book_does_not_have_is_lost(name: str) -> None:
    missing = getattr(books(), name)[1:]
    assert list(verdict(**{name: missing}).lost) == ["1"]


@pytest.mark.parametrize("name", ["simulators", "stations", "orders"])
def test_a_transaction_that_a_book_has_twice_is_doubled(name: str) -> None:
    twice = [*getattr(books(), name), getattr(books(), name)[0]]
    assert list(verdict(**{name: twice}).duplicated) == ["1"]


@pytest.mark.parametrize(
    "order",
    [
        replace(ORDER, energy_dwh=501),
        replace(ORDER, payable_fen=43),
        replace(ORDER, charged_fen=84),
        replace(ORDER, billed_dwh=None),
        replace(ORDER, disputes=1),
    ],
)
def test_one_fen_or_tenth_of_a_watt_hour_at_hq_is_wrong(order: HqOrder) -> None:
    assert list(verdict(orders=[order, books().orders[1]]).wrong) == ["1"]


def test_one_fen_at_the_station_is_wrong() -> None:
    charges = [Charge("1", 500, 43), Charge("2", 0, 0)]
    assert list(verdict(stations=charges).wrong) == ["1"]


def test_an_order_without_a_transaction_is_wrong_unless_it_came_to_nothing() -> None:
    nothing = HqOrder("3", "failed", 0, 0, 0, 0, None)
    found = books(orders=[*books().orders, nothing])
    set_aside(found)
    assert found.starts_without_charge == 1
    assert judge(found).all() == {}
    for other in (replace(nothing, payable_fen=1), replace(nothing, state="estimated")):
        assert list(verdict(orders=[*books().orders, other]).duplicated) == ["3"]


def test_a_charge_that_only_the_station_knows_is_doubled() -> None:
    assert list(verdict(stations=[*books().stations, Charge("3", 1, 0)]).duplicated) == ["3"]
