"""PINs: who may do what, what wrong ones cost, and that none is ever written down."""

from __future__ import annotations

import asyncio
import errno
import logging
import stat
import threading
from pathlib import Path

import msgspec
import pytest

from edge.station import pins
from edge.station.pins import LOCKED_S, PinBook, PinError, hash_pin, load_file, make_pin, save_file
from shared.contracts.commands import PublishPins
from shared.contracts.protection import Pin

STAFF = Pin(name="Wang", role="staff", hash=hash_pin("274913"))
CHIEF = Pin(name="Zhao", role="chief", hash=hash_pin("8261"))


class Time:
    def __init__(self) -> None:
        self.s = 1000.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def book(time: Time) -> PinBook:
    book = PinBook({}, time)
    book.put(PublishPins(version=1, pins=(STAFF, CHIEF)))
    return book


async def test_a_pin_says_who_it_is_and_what_they_may(book: PinBook) -> None:
    assert await book.check("274913") == "Wang"
    assert await book.check("8261", "chief") == "Zhao"
    assert await book.check("8261") == "Zhao"
    with pytest.raises(PinError, match="Wang is staff, this needs chief"):
        await book.check("274913", "chief")


async def test_five_wrong_ones_lock_for_a_minute_and_a_right_one_forgives_four(
    book: PinBook, time: Time
) -> None:
    for _ in range(2):
        for left in (4, 3, 2, 1):
            with pytest.raises(PinError, match=f"{left} tries left"):
                await book.check("0000")
        assert await book.check("8261") == "Zhao"
    for _ in range(5):
        with pytest.raises(PinError):
            await book.check("0000")
    time.s += LOCKED_S - 1
    with pytest.raises(PinError, match="locked"):
        await book.check("8261")
    time.s += 1
    assert await book.check("8261") == "Zhao"


@pytest.mark.parametrize("pin", ["١٢٣٤", "12 34", "123", "1" * 13, "1234\n", "$argon2id$"])
async def test_what_cannot_be_a_pin_is_wrong(book: PinBook, pin: str) -> None:
    with pytest.raises(PinError, match="wrong"):
        await book.check(pin)


async def test_typing_nothing_is_no_wrong_pin(book: PinBook) -> None:
    for _ in range(10):
        with pytest.raises(PinError, match="needed"):
            await book.check("")
    assert await book.check("8261") == "Zhao"


async def test_hq_holds_where_both_name_one_person(book: PinBook, tmp_path: Path) -> None:
    own = (
        Pin(name="Wang", role="chief", hash=hash_pin("5555")),
        Pin(name="Li", role="staff", hash=hash_pin("6666")),
    )
    save_file(tmp_path / "pins.json", own)
    book.use_file(tmp_path / "pins.json")
    assert await book.check("6666") == "Li"
    assert await book.check("274913") == "Wang"
    with pytest.raises(PinError, match="wrong"):
        await book.check("5555")


async def test_a_pin_that_was_set_opens_at_once_and_one_that_was_removed_no_longer(
    time: Time, tmp_path: Path
) -> None:
    book, path = PinBook({}, time), tmp_path / "pins.json"
    book.use_file(path)
    with pytest.raises(PinError, match="vw edge pin set"):
        await book.check("8261")
    save_file(path, (CHIEF,))
    assert await book.check("8261") == "Zhao"
    save_file(path, ())
    with pytest.raises(PinError):
        await book.check("8261")


@pytest.mark.parametrize(
    "text", [b"", b"{}", b'[{"name": "x"}]', b'[{"name":"x","role":"staff","hash":"1"}]']
)
async def test_a_broken_file_opens_nothing_and_stops_nothing(
    book: PinBook, tmp_path: Path, text: bytes
) -> None:
    path = tmp_path / "pins.json"
    path.write_bytes(text)
    with pytest.raises(ValueError, match=r"PIN|pins"):
        load_file(path)
    book.use_file(path)
    assert await book.check("8261") == "Zhao"


async def test_a_list_that_broke_opens_nothing_any_more(time: Time, tmp_path: Path) -> None:
    book, path = PinBook({}, time), tmp_path / "pins.json"
    save_file(path, (STAFF,))
    book.use_file(path)
    path.write_bytes(b"{}")
    with pytest.raises(PinError, match="vw edge pin set"):
        await book.check("274913")


async def test_a_disk_that_cannot_be_read_takes_no_pin_away(
    time: Time, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    book, path = PinBook({}, time), tmp_path / "pins.json"
    save_file(path, (STAFF,))
    book.use_file(path)

    def fails(_: Path) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(Path, "read_bytes", fails)
        assert await book.check("274913") == "Wang"
        assert "Input/output error" in caplog.text
    save_file(path, ())
    with pytest.raises(PinError):
        await book.check("274913")


async def test_a_disk_that_hangs_takes_no_pin_away_and_costs_one_thread(
    time: Time, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book, path = PinBook({}, time), tmp_path / "pins.json"
    save_file(path, (STAFF,))
    book.use_file(path)
    answers, reads = threading.Event(), []
    read_bytes = Path.read_bytes

    def hangs(self: Path) -> bytes:
        reads.append(self)
        answers.wait(30)
        return read_bytes(self)

    monkeypatch.setattr(pins, "READ_WAIT_S", 0.05)
    monkeypatch.setattr(Path, "read_bytes", hangs)
    # All threads that others use hang on the disk as well.
    shared = [asyncio.create_task(asyncio.to_thread(answers.wait, 30)) for _ in range(40)]
    try:
        async with asyncio.timeout(20):
            for _ in range(3):
                assert await book.check("274913") == "Wang"
        assert len(reads) == 1
        save_file(path, (CHIEF,))
    finally:
        answers.set()
        await asyncio.gather(*shared)
    monkeypatch.setattr(pins, "READ_WAIT_S", 5.0)
    await book.refresh()
    assert await book.check("8261") == "Zhao"


async def test_the_file_is_for_the_agents_user_alone_and_no_pin_is_written(
    tmp_path: Path, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    path, pin = tmp_path / "pins.json", make_pin()
    assert len(pin) == 6
    save_file(path, (Pin(name="Li", role="staff", hash=hash_pin(pin)),))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    book = PinBook({}, time)
    book.use_file(path)
    await book.check(pin)
    for wrong in ("7410852", "9630741", "3692580", "1472583", "2583691"):
        with pytest.raises(PinError) as caught:
            await book.check(wrong)
        assert wrong not in str(caught.value)
        assert wrong not in caplog.text
    assert "PINs locked" in caplog.text
    assert pin not in path.read_text() + caplog.text


def test_a_list_of_hq_is_stored_and_read_again(book: PinBook, time: Time) -> None:
    (put,) = book.everything()
    again = PinBook({put.key: put.blob}, time)  # type: ignore[union-attr]
    assert again.people() == [STAFF, CHIEF]
    assert again.version == 1
    assert msgspec.msgpack.decode(put.blob, type=PublishPins).pins == (STAFF, CHIEF)  # type: ignore[union-attr]
    assert put.kind == pins.KIND
