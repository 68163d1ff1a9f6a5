"""The bookkeeper reads what is new, over HQ's API and from the simulator's file as it grows."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import httpx
import msgspec
import pytest

from ops.demo.bookkeeper import Bookkeeper, Tail
from ops.demo.children import DemoError
from ops.demo.hq_api import HqApi
from ops.demo.running_books import LATE_S
from ops.demo.stage import StationProcesses
from ops.demo.world import make_world
from ops.sim.book import AnyLine, Book, Confirmed
from tests.fakes.demo_books import ended, order


class Station:
    """A station whose agent is connected and has nothing left to tell."""

    def __init__(self, book: Path) -> None:
        self.plan = make_world(1).stations[0]
        self.book = book

    async def agent_state(self) -> dict[str, object]:
        return {"hq": {"connected": True, "unacknowledged": {"bill": 0}}}


def keeper(book: Path, answer: httpx.MockTransport, clock: list[float]) -> Bookkeeper:
    station = cast("StationProcesses", Station(book))
    return Bookkeeper(HqApi("http://hq", answer), [station], lambda: clock[0])


@pytest.mark.parametrize(("hq_has_it", "lost"), [(True, 0), (False, 1)])
async def test_nothing_is_lost_before_hq_was_asked_for_it_by_number(
    tmp_path: Path, *, hq_has_it: bool, lost: int
) -> None:
    """An order that HQ's workers committed beside newer ones is in no page that is read again."""

    def answer(request: httpx.Request) -> httpx.Response:
        by_number = request.url.params.get("transaction_no") == "T1"
        items = [order("1", "T1")] if by_number and hq_has_it else []
        return httpx.Response(200, json={"items": items, "next_cursor": ""})

    book = Book(tmp_path / "book.jsonl")
    book.write(ended("T1"))
    book.write(Confirmed(transaction_no="T1", at_ms=1, result=0))
    book.close()
    clock = [0.0]
    looks = keeper(tmp_path / "book.jsonl", httpx.MockTransport(answer), clock)
    assert (await looks.look()).waiting == 1
    clock[0] = LATE_S
    tally = await looks.look()
    assert (tally.lost, tally.orders) == (lost, 1 - lost)


async def test_a_look_goes_back_to_the_oldest_order_that_does_not_agree(tmp_path: Path) -> None:
    book = Book(tmp_path / "book.jsonl")
    book.write(ended("T2"))
    book.close()
    asked: list[str] = []
    pages = {
        "": ([order("3", "T3", state="charging")], "c3"),
        "c3": ([order("2", "T2")], "c2"),
        "c2": ([order("1", "", state="cancelled")], ""),
    }

    def answer(request: httpx.Request) -> httpx.Response:
        cursor = request.url.params["cursor"]
        asked.append(cursor)
        items, following = pages[cursor]
        return httpx.Response(200, json={"items": items, "next_cursor": following})

    looks = keeper(tmp_path / "book.jsonl", httpx.MockTransport(answer), [0.0])
    assert (await looks.look()).orders == 1
    assert asked == ["", "c3", "c2"]

    asked.clear()
    await looks.look()  # when order 2 came first, T2 was not known yet
    assert asked == ["", "c3", "c2"]

    asked.clear()
    await looks.look()
    assert asked == ["", "c3"]


async def test_an_hq_that_does_not_answer_is_an_error_of_the_demo() -> None:
    """A customer goes on after it, and so does the show."""

    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("too slow", request=request)

    with pytest.raises(DemoError, match="GET /orders"):
        await HqApi("http://hq", httpx.MockTransport(answer)).read("/orders")


def test_half_a_line_waits_for_its_other_half(tmp_path: Path) -> None:
    path = tmp_path / "book.jsonl"
    tail = Tail(path)
    assert list(tail.read()) == []

    whole = msgspec.json.encode(ended("T1")) + b"\n"
    path.write_bytes(whole + whole[:20])
    first: list[AnyLine] = list(tail.read())
    assert first == [ended("T1")]
    assert list(tail.read()) == []

    with path.open("ab") as file:
        file.write(whole[20:])
    assert list(tail.read()) == [ended("T1")]
