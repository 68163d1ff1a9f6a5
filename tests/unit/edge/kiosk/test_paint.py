"""Frames have exactly the size that was asked for, and Chinese takes two cells."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from rich.cells import cell_len

from edge.kiosk import big
from edge.kiosk.ink import Frame, Ink, Span, centred, cut, fill, width_of, wrapped
from edge.kiosk.look import Language, Look
from edge.kiosk.paint import alarm, card, dialog, page, trend, wall
from edge.kiosk.paint.dialog import DialogView
from edge.kiosk.paint.keys import KeyHint
from edge.kiosk.palette import ASCII, SIXTEEN
from edge.kiosk.picture import svg
from edge.kiosk.terminal import look_for
from edge.kiosk.views import pages, sheets
from edge.kiosk.views.alarm import alarm_screen
from edge.kiosk.views.trend import trend as trend_view
from edge.kiosk.views.wall import BlockView
from edge.kiosk.views.wall import wall as wall_view
from edge.view import StationView, TrendPoint
from shared.contracts.words import ConnectorStatus
from tests.fakes.stations import AT_MS, burning, calm, connector, degraded, hot, smoke

INK = Ink("#ffffff", "#000000")
TEXT = st.text(alphabet="ab 充电桩1,。-°▶", max_size=40)
SIZES = st.tuples(st.integers(1, 220), st.integers(1, 70))
LOOKS = (Look(Language.ZH), Look(Language.EN), Look(Language.ZH, SIXTEEN, ASCII))
SIZES_LOOKED_AT = ((160, 45), (106, 30), (80, 24))
HINTS = (KeyHint("A", "确认", "acknowledge"), KeyHint("L", "English", "language"))


@given(TEXT, st.integers(0, 60))
def test_texts_are_cut_and_wrapped_to_cells(text: str, width: int) -> None:
    assert cell_len(cut(text, width)) <= width
    line = fill((Span(text, INK),), width, INK)
    assert width_of(line) == width
    assert width_of(centred((Span(text, INK),), width, INK)) == width
    if width >= 2:
        pieces = wrapped(text, width)
        assert all(cell_len(piece) <= width for piece in pieces)
        assert "".join("".join(pieces).split()) == "".join(text.split())


def check(frame: Frame, size: tuple[int, int]) -> None:
    assert len(frame.lines) == size[1]
    assert {width_of(line) for line in frame.lines} == {size[0]}


@pytest.mark.parametrize("look", LOOKS, ids=["zh", "en", "ascii"])
@settings(deadline=None)  # a dozen pages each time; how long that takes is the machine's matter
@given(size=SIZES)
def test_every_page_fits_every_size(look: Look, size: tuple[int, int]) -> None:
    view = burning(hot(), smoke())
    shown = alarm_screen(view, look, stale=True)
    assert shown is not None
    check(alarm.alarm(shown, look, HINTS, size), size)
    for station in (view, degraded(), many_connectors()):
        check(wall.wall(wall_view(station, look), look, HINTS, *size), size)
    for text in (
        pages.alarm_list(view, look, chosen=1),
        pages.detail(view, look, "32010600019203", chosen=1, stale=True),
        pages.system(view, look),
        sheets.responder(view, look),
        sheets.help_page(look),
    ):
        check(page.page(text, look, HINTS, size), size)
    steps = [TrendPoint(AT_MS - 1000, 1, 0, 2)]
    curve = trend_view(
        view, look, chosen=0, hours=1, points=steps, columns=trend.chart_columns(size[0])
    )
    check(trend.trend(curve, look, HINTS, size), size)
    question = DialogView("t", ("充电" * 60,), choices=("a", "b"), digits=4, error="no" * 50)
    check(dialog.dialog(question, look, HINTS, size), size)


def many_connectors() -> StationView:
    view = calm(5)
    wide = tuple(connector(1, number, ConnectorStatus.CHARGING, 50) for number in (1, 2, 3, 4))
    points = tuple(structs.replace(point, connectors=wide * 3) for point in view.charge_points)
    return structs.replace(view, charge_points=points)


def test_a_list_is_scrolled_to_what_is_chosen() -> None:
    alarms = tuple(hot(alarm_id=str(n), title_zh=f"第{n}个") for n in range(50))
    look = Look(Language.ZH)
    view = pages.alarm_list(structs.replace(calm(), alarms=alarms), look, chosen=40)
    frame = page.page(view, look, HINTS, (80, 24))
    assert any("第40个" in "".join(span.text for span in line) for line in frame.lines)


def test_a_page_says_how_much_of_it_is_below() -> None:
    look = Look(Language.EN)
    sheet = sheets.responder(burning(), look)
    lines = page.length(sheet, look, 80)
    for scroll, said in ((0, f"{lines - 14} more lines"), (3, f"{lines - 17} more lines")):
        frame = page.page(sheet, look, HINTS, (80, 16), scroll=scroll)
        assert said in frame.lines[0][-1].text
    end = page.page(sheet, look, HINTS, (80, 16), scroll=lines)
    assert "more lines" not in "".join(span.text for span in end.lines[0])


def test_cards_are_all_as_wide() -> None:
    """So that all connectors in one state say the same of it."""
    for size in SIZES_LOOKED_AT:
        frame = wall.wall(wall_view(calm(), LOOKS[0]), LOOKS[0], HINTS, *size)
        assert len({hit.width for hit in frame.hits if hit.action.startswith("detail")}) == 1


def test_big_words_are_as_wide_as_they_say() -> None:
    for text in ("告警", "03号桩A枪", "SMOKE"):
        lines = big.word(text, big.MIDDLE)
        assert lines is not None
        assert len(lines) == big.MIDDLE // 2
        assert len({len(line) for line in lines}) == 1
    assert big.word("\u0e01", big.MIDDLE) is None
    assert [len(big.number("85", scale)) for scale in (1, 2)] == [3, 5]


@pytest.mark.parametrize("word", ["告警", "烟雾", "高温", "急停", "水浸", "门开", "演练"])
def test_the_words_of_alarms_are_drawn_in_the_largest_size(word: str) -> None:
    assert big.word(word, big.TALL) is not None


def test_of_a_long_place_at_least_the_area_is_read_from_afar() -> None:
    look = Look(Language.EN)
    for place, large, small in (
        ("Area A: Smoke detector A", "Area A", "Smoke detector A"),
        ("Behind the long transformer house", "", "Behind the long transformer house"),
    ):
        shown = alarm_screen(burning(smoke(place_en=place)), look)
        assert shown is not None
        frame = alarm.alarm(shown, look, HINTS, (106, 30))
        lines = ["".join(span.text for span in line).strip() for line in frame.lines]
        assert small in lines
        drawn = big.word(large, big.MIDDLE) or ()
        assert all(row.strip() in lines for row in drawn)


def test_a_picture_gives_chinese_its_two_cells() -> None:
    frame = Frame(((Span("充电A▀", INK),),))
    root = ET.fromstring(svg(frame))
    spaces = {"s": "http://www.w3.org/2000/svg"}
    runs = [(t.text, t.get("textLength"), t.get("x")) for t in root.findall("s:text", spaces)]
    assert runs == [("充电", "40", "0"), ("A", "10", "40")]
    assert root.get("width") == "60"


@pytest.mark.parametrize(
    ("environ", "encoding", "blocks", "full"),
    [
        ({"TERM": "xterm-256color"}, "utf-8", True, True),
        ({"TERM": "foot", "COLORTERM": "truecolor"}, "UTF-8", True, True),
        ({"TERM": "linux"}, "utf-8", False, False),
        ({"TERM": "vt220"}, "utf-8", True, False),
        ({"TERM": "xterm-256color"}, "ascii", False, True),
        ({"TEXTUAL_COLOR_SYSTEM": "truecolor"}, "utf-8", True, True),
        # Python says UTF-8 of these as well; their terminals show other letters.
        ({"TERM": "xterm-256color", "LC_ALL": "C"}, "utf-8", False, True),
        ({"TERM": "xterm", "LANG": "POSIX"}, "utf-8", False, False),
        ({"TERM": "xterm", "LANG": "zh_CN.GB18030"}, "utf-8", False, False),
        ({"TERM": "xterm", "LC_ALL": "en_US.ISO-8859-1", "LANG": "C.UTF-8"}, "utf-8", False, False),
        ({"TERM": "xterm", "LC_ALL": "", "LANG": "zh_CN.utf8"}, "utf-8", True, False),
        ({"TERM": "xterm", "LC_CTYPE": "C.UTF-8", "LANG": "POSIX"}, "utf-8", False, False),
        ({"TERM": "xterm", "LC_CTYPE": "C.UTF-8"}, "utf-8", True, False),
        ({"TERM": "linux", "LANG": "C", "TEXTUAL_DRIVER": "x"}, "utf-8", True, False),
    ],
)
def test_the_terminal_decides(
    environ: dict[str, str], encoding: str, blocks: bool, full: bool
) -> None:
    look = look_for(environ, encoding, Language.ZH)
    assert look.signs.blocks is blocks
    assert (look.palette is not SIXTEEN) is full
    assert look.spoken is (Language.ZH if blocks else Language.EN)


def test_the_keys_of_the_pad_stay_where_they_are() -> None:
    look = Look(Language.ZH)
    plain = DialogView("停止充电", ("停止 01-A 的充电?", ""), digits=4)
    refused = DialogView("停止充电", ("停止 01-A 的充电?", "正在执行"), error="PIN 错误")
    places = [
        dialog.dialog(view, look, HINTS, (80, 24)).hits
        for view in (plain, dataclasses.replace(refused, digits=0))
    ]
    assert places[0] == places[1]


@pytest.mark.parametrize(
    ("device", "name", "width", "text"),
    [
        ("Supply meter", "Current L1", 30, "Supply meter Current L1"),
        ("Supply meter", "Current L1", 17, "Suppl~ Current L1"),
        ("Smoke detector A", "Smoke", 17, "Smoke de~ A Smoke"),
        ("Supply meter", "Current L1", 10, "Current L1"),
        ("", "Transformer door", 8, "Transfo~"),
    ],
)
def test_the_device_is_shortened_not_the_point(
    device: str, name: str, width: int, text: str
) -> None:
    assert trend.shortened(device, name, width) == text


@pytest.mark.parametrize("soc", ["85", "100"])
@pytest.mark.parametrize("height", [1, 2, 3, 6])
def test_a_block_never_writes_one_thing_over_another(soc: str, height: int) -> None:
    view = BlockView("A", "▶", "Finished", INK, soc=soc, facts=("96.3 kW",), fraction=0.85)
    for width in range(20, 40):
        lines = [
            "".join(span.text for span in line)
            for line in card.block(view, width, height, True).lines
        ]
        assert lines[0].startswith(" A ▶ Finished ")
        assert height == 1 or lines[1].startswith("   96.3 kW ")
        if f"{soc}%" in lines[0]:
            assert lines[0].endswith(f" {soc}% ")
