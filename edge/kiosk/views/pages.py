"""Pages about the station: a charge point, the alarms, the system, the first responder's sheet."""

from __future__ import annotations

import re
from collections.abc import Iterator

from edge.kiosk.look import Look, texts
from edge.kiosk.views.page import GAP, Cell, PageView, Row, Tone, fact, heading, paragraph
from edge.kiosk.views.status import stale_text
from edge.kiosk.views.values import (
    by_urgency,
    bytes_text,
    clock,
    energy,
    fault,
    is_shelved,
    local,
    money,
    power,
    span,
)
from edge.view import AlarmView, ChargePointView, ConnectorView, OutputView, StationView
from shared.contracts.alarm_codes import CATALOGUE
from shared.contracts.protection import OutputKind
from shared.contracts.words import ConnectorStatus, Severity

_STATUS_TONES = {
    ConnectorStatus.IDLE: Tone.GOOD,
    ConnectorStatus.PLUGGED: Tone.BUSY,
    ConnectorStatus.CHARGING: Tone.BUSY,
    ConnectorStatus.FINISHED: Tone.TEXT,
    ConnectorStatus.FAULT: Tone.WARN,
    ConnectorStatus.OFFLINE: Tone.DIM,
    ConnectorStatus.ALARM: Tone.BAD,
    ConnectorStatus.UNKNOWN: Tone.DIM,
}
_SEVERITY_TONES = {
    Severity.CRITICAL: Tone.BAD,
    Severity.MAJOR: Tone.WARN,
    Severity.MINOR: Tone.BUSY,
    Severity.INFO: Tone.DIM,
}


def warning(view: StationView, look: Look, stale: bool) -> str:
    """Return what every page says on top while the agent is not heard."""
    return f"{look.signs.cross} {stale_text(view, look)}" if stale else ""


def detail(
    view: StationView, look: Look, charge_point_no: str, *, chosen: int = 0, stale: bool = False
) -> PageView:
    """Return a charge point's page; `chosen` is the index of the connector under the cursor."""
    entry = find(view, charge_point_no)
    if entry is None:
        return PageView(charge_point_no, (paragraph(look.text("detail.gone")),))
    rows: list[Row] = [
        fact(look.text("detail.number"), entry.charge_point_no),
        fact(
            look.text("detail.online"),
            look.text("wall.on" if entry.online else "wall.off"),
            Tone.GOOD if entry.online else Tone.WARN,
        ),
        fact(look.text("detail.firmware"), entry.firmware or "-"),
    ]
    cursor = None
    for index, connector in enumerate(entry.connectors):
        rows.append(GAP)
        if index == min(chosen, len(entry.connectors) - 1):
            cursor = len(rows)
        rows += _connector(connector, look, index)
    title = look.text("wall.charge_point", label=entry.label)
    return PageView(title, tuple(rows), clock(view, view.at_ms), warning(view, look, stale), cursor)


def find(view: StationView, charge_point_no: str) -> ChargePointView | None:
    """Return a charge point of the view."""
    for entry in view.charge_points:
        if entry.charge_point_no == charge_point_no:
            return entry
    return None


def _connector(connector: ConnectorView, look: Look, index: int) -> Iterator[Row]:
    status = connector.status
    word = f"{look.signs.states[status]} {look.text(f'status.{status.value}')}"
    yield Row((Cell(connector.label), Cell(word, _STATUS_TONES[status])), action=f"choose({index})")
    yield from _blocks(connector, look)
    pairs = (
        ("detail.power", power(connector.power_w)),
        ("detail.voltage", _tenths(connector.voltage_dv, "V")),
        ("detail.current", _tenths(connector.current_da, "A")),
        ("detail.energy", energy(connector.energy_dwh)),
        ("detail.amount", money(connector.amount_fen)),
        ("detail.soc", _plain(connector.soc_percent, "%")),
        ("detail.time", _times(connector, look)),
        ("detail.battery", _plain(connector.battery_temp_max_c, look.signs.degree)),
        ("detail.cable", _plain(connector.cable_temp_c, look.signs.degree)),
        ("detail.age", "-" if connector.age_s is None else span(connector.age_s, look)),
    )
    for left, right in zip(pairs[::2], pairs[1::2], strict=True):
        yield Row(
            (
                Cell("  " + look.text(left[0]), Tone.DIM),
                Cell(left[1]),
                Cell(look.text(right[0]), Tone.DIM),
                Cell(right[1]),
            )
        )
    yield fact("  " + look.text("detail.vin"), connector.vin or "-")
    yield fact("  " + look.text("detail.transaction"), connector.transaction_no or "-")


def _blocks(connector: ConnectorView, look: Look) -> Iterator[Row]:
    if connector.stopping:
        yield fact("", look.text("wall.stopping"), Tone.WARN)
    if connector.isolated:
        yield fact("", look.text("wall.isolated"), Tone.BAD)
    if connector.blocked_by:
        causes = ", ".join(cause_in_words(code, look) for code in connector.blocked_by)
        yield fact("", f"{look.text('wall.blocked')}: {causes}", Tone.BAD)


def cause_in_words(code: str, look: Look) -> str:
    """Return what an alarm code means; one that the catalogue lacks is shown as it is."""
    known = CATALOGUE.get(code)
    if known is None:
        return code
    # Without the values: the alarm itself may be over.
    return re.sub(r"[:,]?\s*\{[^}]*\}[^,]*", "", look.title(known)).strip()


def _tenths(value: int | None, unit: str) -> str:
    return "-" if value is None else f"{value / 10:.1f} {unit}"


def _plain(value: int | None, unit: str) -> str:
    return "-" if value is None else f"{value} {unit}"


def _times(connector: ConnectorView, look: Look) -> str:
    if connector.charged_min is None:
        return "-"
    done = look.text("unit.minutes", n=connector.charged_min)
    if connector.remaining_min is None:
        return done
    return f"{done} / {look.text('wall.remaining', n=connector.remaining_min)}"


def alarm_list(view: StationView, look: Look, *, chosen: int = 0, stale: bool = False) -> PageView:
    """Return the open alarms, the worst first; below them what the chosen one says."""
    alarms = by_urgency(view.alarms)
    title = look.text("alarms.title", n=len(alarms))
    if not alarms:
        empty = paragraph(f"{look.signs.tick} {look.text('strip.no_alarms')}", Tone.GOOD)
        return PageView(title, (GAP, empty), "", warning(view, look, stale))
    chosen = min(chosen, len(alarms) - 1)
    rows = [_alarm_row(view, alarm, look, index) for index, alarm in enumerate(alarms)]
    rows += [GAP, *_alarm_detail(view, alarms[chosen], look)]
    note = clock(view, view.at_ms)
    return PageView(title, tuple(rows), note, warning(view, look, stale), chosen)


def _alarm_row(view: StationView, alarm: AlarmView, look: Look, index: int) -> Row:
    tone = _SEVERITY_TONES[alarm.severity]
    title = look.title(alarm)
    if alarm.drill:
        title = f"{look.text('alarm.drill')} {title}"
    return Row(
        (
            Cell(look.text(f"severity.{alarm.severity.value}"), tone),
            Cell(clock(view, alarm.raised_ms)),
            Cell(look.pick(alarm.place_zh, alarm.place_en)),
            Cell(_state(view, alarm, look), Tone.DIM),
            Cell(title, tone),
        ),
        action=f"choose({index})",
    )


def _state(view: StationView, alarm: AlarmView, look: Look) -> str:
    if is_shelved(alarm, view.at_ms):
        return look.text("alarms.shelved")
    if alarm.acknowledged_by:
        return look.text("alarms.acknowledged" if alarm.active else "alarms.cleared")
    return look.text("alarms.open" if alarm.active else "alarms.cleared")


def _alarm_detail(view: StationView, alarm: AlarmView, look: Look) -> Iterator[Row]:
    if alarm.value:
        limit = f"  ({look.text('alarm.limit', limit=alarm.limit)})" if alarm.limit else ""
        yield fact(look.text("alarms.value"), alarm.value + limit)
    yield fact(look.text("alarms.advice"), look.pick(alarm.advice_zh, alarm.advice_en))
    if alarm.acknowledged_by:
        when = "" if alarm.acknowledged_ms is None else f"  {clock(view, alarm.acknowledged_ms)}"
        yield fact(look.text("alarms.by"), alarm.acknowledged_by + when)
    if alarm.silenced:
        yield fact(look.text("alarms.sound"), look.text("alarms.silenced"))
    if is_shelved(alarm, view.at_ms) and alarm.shelved_until_ms is not None:
        until = clock(view, alarm.shelved_until_ms)
        text = f"{look.text('alarms.until', time=until)}  {alarm.shelved_reason}"
        yield fact(look.text("alarms.shelved"), text)
    if alarm.escalation:
        yield fact(look.text("alarms.escalation"), str(alarm.escalation), Tone.WARN)
    if alarm.stopped:
        yield fact(look.text("alarms.stopped"), ", ".join(alarm.stopped))
    if alarm.isolated:
        yield fact(look.text("alarms.isolated"), ", ".join(alarm.isolated))
    figures = _figures(alarm, look)
    if figures:
        yield fact(look.text("alarms.figures"), figures)


def _figures(alarm: AlarmView, look: Look) -> str:
    parts = []
    for key, value in (
        ("alarms.trip_stop", alarm.trip_stop_ms),
        ("alarms.trip_siren", alarm.trip_siren_ms),
        ("alarms.trip_zero", alarm.trip_zero_ms),
    ):
        if value is not None:
            parts.append(look.text(key, ms=f"{value:.1f}" if value < 100 else f"{value:.0f}"))
    return f" {look.signs.bullet} ".join(parts)


def system(view: StationView, look: Look, *, stale: bool = False) -> PageView:
    """Return the system page: link, queue, disk, time, versions, proofs of life, outputs."""
    state = view.system
    rows: list[Row] = [
        heading(look.text("system.hq")),
        fact(look.text("system.link"), *_link(view, look)),
        fact(look.text("system.queue"), str(state.backlog_records)),
        fact(look.text("system.unacknowledged"), str(state.unacknowledged)),
        GAP,
        heading(look.text("system.agent")),
        fact(look.text("system.version"), state.version),
        fact(look.text("system.started"), f"{local(view, state.started_ms):%Y-%m-%d %H:%M:%S}"),
        fact(look.text("system.disk"), bytes_text(state.disk_free_bytes)),
        fact(look.text("system.memory"), bytes_text(state.rss_bytes)),
        fact(
            look.text("system.journal"),
            state.journal_failed or look.text("contact.normal"),
            Tone.BAD if state.journal_failed else Tone.GOOD,
        ),
        fact(look.text("system.clock"), _offset(state.clock_offset_ms)),
        fact(
            look.text("system.failures"),
            str(state.handler_failures),
            Tone.WARN if state.handler_failures else Tone.TEXT,
        ),
        GAP,
        heading(look.text("system.protection")),
        fact(look.text("system.document"), f"{_source(view, look)} {state.protection_sha256[:12]}"),
        fact(
            look.text("system.pins"),
            look.text("system.yes" if state.pins_set else "system.no"),
            Tone.TEXT if state.pins_set else Tone.WARN,
        ),
        fact(look.text("system.last_drill"), last_drill(view, look)),
        GAP,
        *_channels(view, look),
        GAP,
        *outputs(view, look),
    ]
    title = f"{look.text('system.title')}  {view.station_no}"
    return PageView(title, tuple(rows), clock(view, view.at_ms), warning(view, look, stale))


def _link(view: StationView, look: Look) -> tuple[str, Tone]:
    if not view.system.hq_configured:
        return look.text("wall.hq_none"), Tone.DIM
    if view.system.hq_connected:
        return look.text("wall.on"), Tone.GOOD
    return f"{look.text('wall.off')}  {view.system.hq_last_error}".rstrip(), Tone.WARN


def _source(view: StationView, look: Look) -> str:
    """Return who gave the protection document: `hq 7`, a file, or nobody."""
    source = view.system.protection
    key = f"source.{source}"
    if key in texts():
        return look.text(key)
    name, _, version = source.partition(" ")
    return f"{look.text('system.hq')} {version}" if name == "hq" else source


def _offset(offset_ms: int | None) -> str:
    return "-" if offset_ms is None else f"{offset_ms:+d} ms"


def last_drill(view: StationView, look: Look) -> str:
    """Say when the last drill was."""
    at_ms = view.system.last_drill_ms
    return look.text("system.never") if at_ms is None else f"{local(view, at_ms):%Y-%m-%d %H:%M}"


def _channels(view: StationView, look: Look) -> Iterator[Row]:
    yield heading(look.text("system.channels"))
    if not view.channels:
        yield paragraph(look.text("system.none"), Tone.DIM)
    for channel in view.channels:
        mark = look.signs.tick if channel.ok else look.signs.cross
        age = "" if channel.age_s is None else span(channel.age_s, look)
        yield Row(
            (
                Cell(look.title(channel)),
                Cell(f"{mark} {age}", Tone.GOOD if channel.ok else Tone.BAD),
                Cell(fault(channel.reason, look), Tone.WARN),
            )
        )


def outputs(view: StationView, look: Look) -> Iterator[Row]:
    """Yield sirens, contactors and the like: what was ordered, what reads back."""
    yield heading(look.text("system.outputs"))
    if not view.outputs:
        yield paragraph(look.text("system.none"), Tone.DIM)
    for output in view.outputs:
        reads = "?" if output.reads_on is None else _switch(output, output.reads_on, look)
        wrong = bool(output.fault) or output.reads_on not in {None, output.ordered_on}
        tone = Tone.BAD if wrong else Tone.DIM if output.reads_on is None else Tone.GOOD
        yield Row(
            (
                Cell(output.name),
                Cell(look.text(f"output.{output.kind.value}"), Tone.DIM),
                Cell(_switch(output, output.ordered_on, look)),
                Cell(f"{look.text('system.reads')} {reads}", tone),
                Cell(fault(output.fault, look), Tone.BAD),
            )
        )


def _switch(output: OutputView, on: bool, look: Look) -> str:
    if output.kind is OutputKind.CONTACTOR:
        return look.text("output.cut" if on else "output.fed")
    return look.text("contact.on" if on else "contact.off")
