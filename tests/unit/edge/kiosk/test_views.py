"""What screens say, without a terminal."""

from __future__ import annotations

from msgspec import structs

from edge.kiosk.look import Language, Look
from edge.kiosk.palette import FULL
from edge.kiosk.views import pages, sheets, values
from edge.kiosk.views.alarm import alarm_screen, big_word
from edge.kiosk.views.page import PageView
from edge.kiosk.views.trend import trend
from edge.kiosk.views.wall import BlockView, block, page_count, pinned_page, wall
from edge.view import StationView, TrendPoint
from shared.contracts.protection import Quality, Quantity
from shared.contracts.words import ConnectorStatus, Severity
from tests.fakes.stations import (
    AT_MS,
    HOT_ID,
    burning,
    calm,
    connector,
    degraded,
    door,
    empty,
    hot,
    smoke,
    starting,
)

ZH, EN = Look(Language.ZH), Look(Language.EN)


def words(view: PageView) -> str:
    return "\n".join(" ".join(cell.text for cell in row.cells) for row in view.rows)


# The wall


def test_the_header_counts() -> None:
    header = wall(calm(), EN).header
    assert header.name == "Demo Station One"
    assert header.time == "2026-11-22  19:26:28"
    assert [(f.title, f.value) for f in header.figures] == [
        ("Power kW", "395"), ("Free", "6"), ("Charging", "6"), ("Trouble", "7"),
    ]  # fmt: skip


def test_time_is_the_stations() -> None:
    view = structs.replace(calm(), zone_name="Europe/Berlin")
    assert wall(view, EN).header.time.endswith("12:26:28")
    assert wall(structs.replace(view, zone_name="no/zone"), EN).header.time.endswith("11:26:28")


def test_power_is_amber_above_nine_tenths_of_the_limit() -> None:
    assert wall(calm(), EN).power.ink == FULL.bar
    high = wall(structs.replace(calm(), power_w=1_400_000), EN).power
    assert high.ink == FULL.bar_high
    over = wall(structs.replace(calm(), power_w=2_000_000), EN).power
    assert over.fraction == 1.0


def test_a_station_that_feeds_back_has_an_empty_bar() -> None:
    view = structs.replace(calm(), power_w=-20_000_000_000, power_limit_w=1)
    assert wall(view, EN).power.fraction == 0.0


def test_a_block_has_the_ink_of_its_state() -> None:
    for status in ConnectorStatus:
        assert block(connector(1, 1, status, None), ZH, False).ink == FULL.states[status]


def _charging(age_s: float) -> BlockView:
    charging = connector(1, 1, ConnectorStatus.CHARGING, 40)
    return block(structs.replace(charging, age_s=age_s), EN, False)


def test_old_values_turn_grey_and_say_so() -> None:
    assert _charging(44.0).ink != FULL.stale
    assert _charging(46.0).ink == FULL.stale
    assert "stale 46 s" in _charging(46.0).facts
    # A connector that does not charge reports every five minutes only.
    idle = structs.replace(connector(1, 1, ConnectorStatus.IDLE, None), age_s=299.0)
    assert block(idle, EN, False).ink == FULL.states[ConnectorStatus.IDLE]


def test_no_car_has_no_charge() -> None:
    for status in (ConnectorStatus.IDLE, ConnectorStatus.PLUGGED, ConnectorStatus.ALARM):
        assert block(connector(1, 1, status, 0), EN, False).soc == ""
    assert block(connector(1, 1, ConnectorStatus.CHARGING, 0), EN, False).soc == "0"
    assert block(connector(1, 1, ConnectorStatus.PLUGGED, 43), EN, False).soc == "43"


def test_everything_is_grey_when_the_agent_is_silent() -> None:
    view = wall(calm(), EN, stale=True)
    assert {entry.ink for card in view.cards for entry in card.blocks} == {FULL.stale}
    assert "does not answer; data from 19:26:28" in view.strip.items[0]
    assert view.strip.ink == FULL.bad_strip


def test_pages_hold_twelve_and_stay_where_it_alarms() -> None:
    assert page_count(calm(12)) == 1
    assert page_count(calm(13)) == 2
    assert page_count(empty()) == 1
    assert pinned_page(calm(24)) is None
    assert pinned_page(burning(charge_points=24)) == 0
    assert [card.title for card in wall(calm(13), EN, page=1).cards] == ["No. 13"]


def strip_of(view: StationView) -> tuple[str, ...]:
    return wall(view, EN).strip.items


def test_the_strip_says_the_worst_first() -> None:
    assert strip_of(structs.replace(calm(), charge_points=())) == ("✔ All normal, no alarms",)
    both = strip_of(burning(door(), hot()))
    assert "Battery too hot" in both[0]
    assert "Transformer door open" in both[1]
    acked = wall(burning(hot(acknowledged_by="x")), EN).strip
    assert "acknowledged, still active" in acked.items[0]
    assert acked.ink == FULL.warn_strip
    away = strip_of(degraded())
    assert away[0] == "▲ Protection degraded: Line 1"
    assert "Offline mode, charging continues, 128 records queued" in away
    assert strip_of(starting()) == ("Starting up, 3/12 charge points connected",)


def test_what_is_shelved_leaves_the_strip_until_then() -> None:
    aside = door(shelved_until_ms=AT_MS + 1000)
    assert strip_of(structs.replace(calm(), alarms=(aside,)))[0] == "▲ No alarms"
    over = door(shelved_until_ms=AT_MS)
    assert "Transformer door open" in strip_of(structs.replace(calm(), alarms=(over,)))[0]


def test_sensors_that_alarm_or_fail_come_first_and_are_never_numbers() -> None:
    view = calm()
    points = tuple(
        structs.replace(point, alarming=True) if point.device == "oil" else point
        for point in view.points
    )
    seen = wall(structs.replace(view, points=points), EN).sensors
    assert (seen[0].title, seen[0].value, seen[0].ink) == ("Oil", "61.0 °C", FULL.bad)
    meter = next(entry for entry in seen if entry.title == "Meter")
    assert (meter.value, meter.ink) == ("no answer 1 min", FULL.warn)


# Values


def test_values_carry_their_units() -> None:
    assert values.power(96_340) == "96.3 kW"
    assert values.power(153_400) == "153 kW"
    assert values.energy(183_456) == "18.35 kWh"
    assert values.money(2741) == "27.41 CNY"
    assert values.measured(Quantity.CELL_SPREAD_V, 0.0314, EN) == "0.031 V"
    assert values.measured(Quantity.OIL_TEMPERATURE_C, 61, EN) == "61.0 °C"
    assert values.contact(Quantity.DOOR_OPEN, True, ZH) == "打开"
    assert values.span(3700, EN) == "1 h 1 min"


def test_every_quantity_and_quality_can_be_said() -> None:
    point = calm().points[0]
    for quantity in Quantity:
        for quality in Quality:
            shown = structs.replace(point, quantity=quantity, quality=quality, value=1.0)
            assert values.point_value(shown, ZH)


# The alarm


def test_the_worst_and_oldest_calls_first_and_drills_last() -> None:
    drill = smoke(alarm_id="d", drill=True, raised_ms=0)
    view = burning(drill, hot(), smoke())
    assert [a.alarm_id for a in values.calling(view)][-1] == "d"
    shown = alarm_screen(view, EN)
    assert shown is not None
    assert (shown.word, shown.place, shown.queue) == ("SMOKE", "Zone 1", "1/3")


def test_an_alarm_that_somebody_saw_does_not_call_but_sounds() -> None:
    view = burning(hot(acknowledged_by="x"))
    assert alarm_screen(view, EN) is None
    assert [alarm.alarm_id for alarm in values.sounding(view)] == [HOT_ID]
    assert values.sounding(burning(hot(silenced=True))) == []
    assert values.sounding(burning(hot(active=False))) == []


def test_value_and_limit_and_what_was_done() -> None:
    shown = alarm_screen(burning(hot()), ZH)
    assert shown is not None
    assert shown.value == "62.4 °C  (限值 55 °C)"
    assert shown.done == "已停止 1 枪"
    assert shown.light == FULL.alarm
    drill = alarm_screen(burning(hot(drill=True)), ZH)
    assert drill is not None
    assert drill.light == FULL.drill
    assert drill.place.startswith("演练")


def test_an_unknown_alarm_has_a_word_too() -> None:
    assert big_word(hot(code="from_a_newer_agent"), ZH) == "告警"


# Pages


def test_the_responders_sheet_says_car_supply_shut_off_and_phone() -> None:
    text = words(sheets.responder(burning(hot()), EN))
    first = next(line for line in text.splitlines() if line.startswith("03-A"))
    assert "Isolated" in first
    assert "VIN LVWDEM0000000042X" in first
    assert "Red box, east side of the transformer" in text
    assert "Fire brigade 119" in text


def test_the_responders_sheet_tells_cars_from_empty_places() -> None:
    view = burning(hot())
    third = view.charge_points[2]
    latched = structs.replace(third.connectors[0], plugged_in=False, vin="")
    hit = structs.replace(third, connectors=(latched, third.connectors[0]))
    view = structs.replace(view, charge_points=(*view.charge_points[:2], hit))
    lines = [line for line in words(sheets.responder(view, EN)).splitlines() if "03-" in line]
    assert "VIN" in lines[0]
    assert lines[1].endswith("no car")


def test_the_list_shows_the_trip_figures_of_the_chosen_one() -> None:
    text = words(pages.alarm_list(burning(smoke()), EN))
    assert "stop 3.2 ms · siren 8.9 ms · zero current 1480 ms" in text


def test_pages_without_anything_say_so() -> None:
    assert "No alarms" in words(pages.alarm_list(calm(), EN))
    assert "No cars" in words(sheets.responder(empty(), EN))
    assert "no longer" in words(pages.detail(calm(), EN, "99"))
    assert trend(empty(), EN, chosen=0, hours=1, points=None, columns=10).message == (
        "No sensors are configured"
    )


def test_an_output_that_does_not_read_back_stands_out() -> None:
    rows = list(pages.outputs(calm(), EN))
    siren = next(row for row in rows if row.cells and row.cells[0].text == "siren2")
    assert siren.cells[3].tone == pages.Tone.BAD
    assert siren.cells[4].text == "reads back off"


def test_what_fails_is_said_in_the_language_of_the_screen() -> None:
    (siren,) = [row for row in pages.outputs(calm(), ZH) if "siren2" in row.cells[:1][0].text]
    assert siren.cells[4].text == "回读为关"
    assert "无应答" in words(pages.system(degraded(), ZH))
    assert values.fault("aplay: not installed", ZH) == "aplay: not installed"
    assert values.fault("", ZH) == ""


def test_an_output_that_nobody_can_read_is_neither_good_nor_bad() -> None:
    rows = list(pages.outputs(calm(), EN))
    dog = next(row for row in rows if row.cells and row.cells[0].text == "dog")
    assert (dog.cells[3].text, dog.cells[3].tone) == ("reads ?", pages.Tone.DIM)


def test_where_the_rules_come_from_is_said_in_words() -> None:
    for source, said in (("built-in", "内置"), ("file", "本地文件"), ("hq 7", "总部 7")):
        system = structs.replace(calm().system, protection=source)
        text = words(pages.system(structs.replace(calm(), system=system), ZH))
        assert f"规则版本 {said} " in text


def test_the_list_says_what_was_silenced() -> None:
    assert "Sound" not in words(pages.alarm_list(burning(smoke()), EN))
    assert "Sound silenced" in words(pages.alarm_list(burning(smoke(silenced=True)), EN))


# The trend


def test_a_curve_leaves_gaps_where_nothing_was_measured() -> None:
    hour = 3_600_000
    steps = [TrendPoint(AT_MS - hour + i * 60_000, 20 + i, 20 + i, 21 + i) for i in range(30)]
    shown = trend(calm(), EN, chosen=0, hours=1, points=steps, columns=60)
    assert shown.chart is not None
    columns = shown.chart.columns
    assert columns[0] == (0.0, 1 / 30)
    assert all(column is not None for column in columns[:30])
    assert all(column is None for column in columns[30:])
    assert (shown.chart.top, shown.chart.bottom) == ("50.0 °C", "20.0 °C")


def test_severities_are_all_listed() -> None:
    assert set(values.SEVERITIES) == set(Severity)


def test_points_of_one_device_are_told_apart_by_what_follows_its_name() -> None:
    room = next(point for point in calm().points if point.device == "room")
    titles = ("Supply meter Current L1", "Supply meter Current L2", "Supply meter Power")
    points = [
        structs.replace(room, device="meter", point=title, title_en=title) for title in titles
    ]
    view = structs.replace(calm(), points=(*points, room))
    lines = trend(view, EN, chosen=0, hours=1, points=None, columns=10).points
    assert [(line.device, line.name) for line in lines] == [
        ("Supply meter", "Current L1"),
        ("Supply meter", "Current L2"),
        ("Supply meter", "Power"),
        ("", "Temperature"),
    ]


# What is over, and what is in trouble


def test_a_value_is_not_red_once_its_cause_is_gone() -> None:
    first, *others = calm().points
    point = structs.replace(first, alarming=True)
    place = f"sensor:{point.device}/{point.point}"
    for active, ink in ((True, FULL.bad), (False, FULL.good)):
        alarm = smoke(object=place, active=active)
        view = structs.replace(calm(), points=(point, *others), alarms=(alarm,))
        shown = {entry.title: entry.ink for entry in wall(view, EN).sensors}
        assert shown[point.title_en] == ink


def test_the_strip_names_connectors_in_trouble() -> None:
    shown = wall(calm(), EN).strip
    assert shown.items == ("▲ No alarms", "connectors in trouble: 7")
    assert shown.ink == FULL.warn_strip
    assert wall(burning(door()), EN).strip.items[-1] == "connectors in trouble: 8"
    fine = structs.replace(calm(), charge_points=())
    assert wall(fine, EN).strip.ink == FULL.ok_strip
    assert "connectors in trouble" not in "".join(wall(starting(), EN).strip.items)
