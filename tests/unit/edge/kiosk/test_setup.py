"""A station without charge points says what to do, and gives a telephone where to."""

from __future__ import annotations

import cv2
import numpy
import pytest
import segno
from msgspec import structs

from edge.kiosk import qr
from edge.kiosk.ink import Frame, Ink
from edge.kiosk.look import Language, Look
from edge.kiosk.paint.keys import KeyHint
from edge.kiosk.paint.wall import wall as paint
from edge.kiosk.palette import ASCII, FULL, SIXTEEN, UNICODE
from edge.kiosk.views.setup import setup
from edge.kiosk.views.wall import wall
from edge.view import StationView
from tests.fakes.stations import calm, empty

EN = Look(Language.EN)
LOOKS = (Look(Language.ZH), EN, Look(Language.EN, SIXTEEN, UNICODE))
SIZES = ((160, 45), (106, 30), (80, 24))
HINTS = (KeyHint("A", "Acknowledge", "acknowledge"),)
TEXT = "Voltwarden S-0001 YKC 1.6 192.168.10.2:8768"
GUIDE = "https://hq.example.com/guide/charge-point"
_INK = {" ": (False, False), "▀": (True, False), "▄": (False, True), "█": (True, True)}


def screen(
    view: StationView, look: Look = EN, size: tuple[int, int] = (80, 24), guide: str = ""
) -> Frame:
    return paint(wall(view, look, guide=guide), look, HINTS, *size)


def texts(frame: Frame) -> str:
    return "\n".join("".join(span.text for span in line) for line in frame.lines)


def modules(frame: Frame, ink: Ink) -> list[list[bool]]:
    """Return what a telephone sees: dark and light squares, two in a cell."""
    rows: list[list[bool]] = []
    for line in frame.lines:
        cells = [_INK[char] for span in line if span.ink == ink for char in span.text]
        if cells:
            rows += [[cell[half] for cell in cells] for half in (0, 1)]
    return rows


@pytest.mark.parametrize("look", LOOKS, ids=["zh", "en", "16 colours"])
@pytest.mark.parametrize("size", SIZES)
def test_the_code_on_the_screen_is_the_code(look: Look, size: tuple[int, int]) -> None:
    seen = modules(screen(empty(), look, size), look.palette.code)
    drawn = segno.make(TEXT, micro=False).matrix_iter(border=qr.QUIET)
    assert seen[: len(seen[0])] == [[bool(module) for module in row] for row in drawn]
    assert not any(any(row) for row in seen[len(seen[0]) :])
    assert (look.palette.code.fg, look.palette.code.bg) == ("#000000", "#ffffff")


@pytest.mark.parametrize(("text", "guide"), [(TEXT, ""), (GUIDE, GUIDE)])
@pytest.mark.parametrize("size", SIZES)
def test_a_telephone_reads_it(text: str, guide: str, size: tuple[int, int]) -> None:
    seen = modules(screen(empty(), size=size, guide=guide), FULL.code)
    picture = numpy.array([[0 if module else 255 for module in row] for row in seen], "uint8")
    # A cell is 18 dots wide and 35 high on the station's panel: a module is not quite square.
    picture = numpy.repeat(numpy.repeat(picture, 18, axis=0), 18, axis=1)
    picture = cv2.resize(picture, None, fx=1.0, fy=17.5 / 18)
    read, *_ = cv2.QRCodeDetector().detectAndDecode(picture)
    assert read == text


def test_the_steps_name_the_address_of_the_station() -> None:
    assert "address:port  192.168.10.2:8768" in texts(screen(empty()))
    assert "Scan to take address and port along" in texts(screen(empty()))
    assert "Scan for the installation guide" in texts(screen(empty(), guide=GUIDE))


def test_without_room_or_blocks_or_an_address_the_steps_stand_alone() -> None:
    plain = Look(Language.EN, SIXTEEN, ASCII)
    system = structs.replace(empty().system, listens_on=())
    for frame in (
        screen(empty(), plain),
        screen(empty(), size=(60, 20)),
        screen(empty(), size=(80, 22)),
        screen(structs.replace(empty(), system=system)),
    ):
        assert "See which number knocks" in texts(frame)
        assert "Scan" not in texts(frame)
        assert "▀" not in texts(frame)


def test_a_guide_whose_address_is_too_long_has_no_code() -> None:
    assert len(qr.code("x" * qr.TEXT_MAX)) == 33
    assert qr.code("x" * (qr.TEXT_MAX + 1)) == ()
    assert "See which number knocks" in texts(screen(empty(), guide="x" * 9000))


def test_with_a_charge_point_there_is_nothing_to_set_up() -> None:
    assert setup(calm(1), EN) is None
