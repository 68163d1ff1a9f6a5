"""Sheets to act by: the first responder's, HQ's instruction, the drill, the help."""

from __future__ import annotations

from collections.abc import Iterator

from edge.kiosk.look import Look
from edge.kiosk.views.page import GAP, Cell, PageView, Row, Tone, fact, heading, paragraph
from edge.kiosk.views.pages import last_drill, outputs, warning
from edge.kiosk.views.values import by_urgency, clock, energy
from edge.kiosk.views.wall import charge_of
from edge.view import ConnectorView, InstructionView, StationView
from shared.contracts.words import ConnectorStatus, Severity

_WITH_CAR = frozenset(
    {
        ConnectorStatus.PLUGGED,
        ConnectorStatus.CHARGING,
        ConnectorStatus.FINISHED,
        ConnectorStatus.ALARM,
    }
)


def responder(view: StationView, look: Look, *, stale: bool = False) -> PageView:
    """Return the first responder's sheet: where, which car, what is isolated, whom to call."""
    site = view.site
    rows: list[Row] = [*_what_happens(view, look), GAP]
    rows += [
        fact(look.text("responder.address"), look.pick(site.address_zh, site.address_en) or "-"),
        fact(
            look.text("responder.shut_off"),
            look.pick(site.shut_off_zh, site.shut_off_en) or look.text("responder.unknown"),
            Tone.WARN,
        ),
        fact(
            look.text("responder.extinguishers"),
            look.pick(site.extinguishers_zh, site.extinguishers_en) or "-",
        ),
        GAP,
        heading(look.text("responder.call")),
        *(
            fact(look.pick(contact.name_zh, contact.name_en), contact.phone, Tone.WARN)
            for contact in site.contacts
        ),
    ]
    if not site.contacts:
        rows.append(paragraph(look.text("responder.no_contacts"), Tone.DIM))
    rows += [GAP, *_cars(view, look)]
    name = look.pick(site.name_zh, site.name_en) or view.station_no
    title = f"{look.text('responder.title')}  {name}"
    return PageView(title, tuple(rows), clock(view, view.at_ms), warning(view, look, stale))


def _what_happens(view: StationView, look: Look) -> Iterator[Row]:
    yield heading(look.text("responder.now"))
    critical = [alarm for alarm in by_urgency(view.alarms) if alarm.severity is Severity.CRITICAL]
    if not critical:
        yield paragraph(look.text("responder.nothing"), Tone.GOOD)
    for alarm in critical:
        drill = f"{look.text('alarm.drill')} " if alarm.drill else ""
        yield Row(
            (
                Cell(clock(view, alarm.raised_ms), Tone.DIM),
                Cell(look.pick(alarm.place_zh, alarm.place_en), Tone.BAD),
                Cell(drill + look.title(alarm), Tone.BAD),
            )
        )


def _cars(view: StationView, look: Look) -> Iterator[Row]:
    yield heading(look.text("responder.cars"))
    seen = [
        connector
        for entry in view.charge_points
        for connector in entry.connectors
        if connector.status in _WITH_CAR or connector.isolated or connector.blocked_by
    ]
    seen.sort(key=lambda each: (each.status is not ConnectorStatus.ALARM, each.plugged_in is False))
    if not seen:
        yield paragraph(look.text("responder.no_cars"), Tone.DIM)
    for connector in seen:
        yield _car(connector, look)


def _car(connector: ConnectorView, look: Look) -> Row:
    status = connector.status
    word = f"{look.signs.states[status]} {look.text(f'status.{status.value}')}"
    supply, tone = look.text("responder.live"), Tone.WARN
    if connector.isolated:
        supply, tone = look.text("wall.isolated"), Tone.GOOD
    car = (
        look.text("responder.no_car") if connector.plugged_in is False else _which(connector, look)
    )
    alarming = status is ConnectorStatus.ALARM
    return Row(
        (
            Cell(connector.label),
            Cell(word, Tone.BAD if alarming else Tone.TEXT),
            Cell(supply, tone),
            Cell(car),
        )
    )


def _which(connector: ConnectorView, look: Look) -> str:
    car = f"VIN {connector.vin}" if connector.vin else look.text("responder.no_vin")
    charge = charge_of(connector)
    if charge is not None:
        car += f"  {charge}%"
    if connector.energy_dwh:
        car += f"  {energy(connector.energy_dwh)}"
    return car


def instruction(
    view: StationView, look: Look, first: InstructionView, *, stale: bool = False
) -> PageView:
    """Return what HQ asks for, with who asked and when."""
    rows = (
        GAP,
        paragraph(look.pick(first.text_zh, first.text_en), Tone.WARN),
        GAP,
        fact(look.text("instruction.by"), first.by or "-"),
        fact(look.text("instruction.sent"), clock(view, first.sent_ms)),
        GAP,
        paragraph(look.text("instruction.how")),
    )
    count = len(view.instructions)
    note = f"1/{count}" if count > 1 else ""
    return PageView(look.text("instruction.title"), rows, note, warning(view, look, stale))


def drill(view: StationView, look: Look, *, stale: bool = False) -> PageView:
    """Return the drill's page: what it does, the last one, and what the outputs read now."""
    running = look.text("drill.running" if view.drill_running else "drill.idle")
    rows = (
        paragraph(look.text("drill.what")),
        GAP,
        fact(look.text("drill.state"), running, Tone.WARN if view.drill_running else Tone.TEXT),
        fact(look.text("system.last_drill"), last_drill(view, look)),
        GAP,
        *outputs(view, look),
    )
    return PageView(
        look.text("drill.title"), rows, clock(view, view.at_ms), warning(view, look, stale)
    )


_HELP = (
    ("A Enter", "acknowledge"),
    ("S", "silence"),
    ("V", "alarms"),
    ("R", "responder"),
    ("P", "stop"),
    ("U", "reset"),
    ("H", "shelve"),
    ("T", "drill"),
    ("E", "trends"),
    ("Y", "system"),
    ("I", "instruction"),
    ("L", "language"),
    ("PgUp PgDn", "turn"),
    ("Esc", "back"),
)


def help_page(look: Look) -> PageView:
    """Return what every key does, and what states and signs mean."""
    rows: list[Row] = [fact(key, look.text(f"help.{name}")) for key, name in _HELP]
    rows += [GAP, heading(look.text("help.signs"))]
    for status in ConnectorStatus:
        sign = look.signs.states[status]
        rows.append(fact(sign, look.text(f"status.{status.value}")))
    rows += [GAP, paragraph(look.text("help.sound"), Tone.DIM)]
    return PageView(look.text("help.title"), tuple(rows))
