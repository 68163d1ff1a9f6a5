"""The books while all runs: what is on its way is neither lost nor differs, and the reverse."""

from __future__ import annotations

from ops.demo.running_books import LATE_S, RunningBooks
from ops.sim.book import Confirmed
from tests.fakes.demo_books import ended, order

STATION = "S-0001"


def books(*numbers: str) -> RunningBooks:
    made = RunningBooks()
    for number in numbers:
        made.take_line(STATION, ended(number))
    return made


def test_what_hq_has_is_summed_in_both_books_and_the_rest_is_on_its_way() -> None:
    made = books("T1", "T2")
    made.take_orders([order("1", "T1"), order("2", "T2", state="charging")])

    tally = made.tally(0)

    assert (tally.transactions, tally.orders, tally.waiting, tally.lost) == (2, 1, 1, 0)
    assert (tally.simulators_fen, tally.hq_fen, tally.differing) == (100, 100, 0)
    assert "1 still on their way" in tally.in_words()[1]
    assert "1 在途" in tally.in_words()[0]
    assert made.oldest_open == "2"

    made.take_orders([order("2", "T2")])
    assert (
        "2 transactions = 2 orders, 0 lost, 0 doubled; 2.00 = 2.00 yuan"
        in (made.tally(0).in_words()[1])
    )
    assert made.oldest_open == "2"


def test_a_bill_of_another_amount_is_seen_until_it_agrees() -> None:
    made = books("T1")
    made.take_orders([order("1", "T1", fen=101), order("2", "", state="requested")])
    assert made.tally(0).differing == 1
    assert made.tally(0).in_words()[1].endswith("1 differ; 1.00 ≠ 1.01 yuan")
    assert made.oldest_open == "1"

    made.take_orders([order("1", "T1")])
    assert made.tally(0).differing == 0


def test_two_orders_of_one_transaction_are_doubled() -> None:
    made = books("T1")
    made.take_orders([order("1", "T1"), order("2", "T1")])

    assert made.tally(0).doubled == 1
    assert made.tally(0).hq_fen == 200


def test_wishes_of_which_nothing_came_are_no_orders() -> None:
    made = books()
    made.take_orders([order("1", "", state="cancelled"), order("2", "T9", state="failed")])

    assert (made.tally(0).orders, made.tally(0).differing) == (0, 0)


def test_lost_is_what_a_station_confirmed_and_has_told_all_of_for_long() -> None:
    made = books("T1", "T2")
    made.take_line(STATION, Confirmed(transaction_no="T1", at_ms=1, result=0))
    made.take_line(STATION, Confirmed(transaction_no="T2", at_ms=1, result=1))
    made.told_all(STATION, 0)
    assert made.tally(LATE_S - 1).lost == 0

    assert made.late(LATE_S) == ["T1"]
    assert (made.tally(LATE_S).lost, made.tally(LATE_S).waiting) == (1, 1)

    made.take_orders([order("1", "T1")])
    assert made.tally(LATE_S).lost == 0


def test_nothing_is_lost_while_its_station_is_cut_off() -> None:
    made = books("T1")
    made.take_line(STATION, Confirmed(transaction_no="T1", at_ms=1, result=0))
    made.told_all(STATION, 0)
    made.cut_off(STATION)
    assert made.late(100 * LATE_S) == []

    made.told_all(STATION, 100)
    assert made.late(99 + LATE_S) == []
    assert made.late(100 + LATE_S) == ["T1"]
