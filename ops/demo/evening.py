"""In the evening: is everything drained, and do the three books agree?

Each book is read where its keeper keeps it: the simulators' files, the station's own export, and
HQ's orders over its API.
"""

from __future__ import annotations

import json
from typing import Any

from edge.local_api import ask
from ops.demo.books import Comparison, Entry, compare
from ops.demo.running_books import CAME_TO_NOTHING
from ops.demo.stage import Stage, StationProcesses
from ops.sim.book import BookContents, read
from shared.money import NANO_PER_FEN, divide_half_up

_OPEN = frozenset({"requested", "authorised", "starting", "charging", "ended"})
_MS = 1000
# Sensors never stop measuring; on the demo's clock a minute between their samples is half a second.
_JUST_MEASURED = 1000


def simulator_contents(station: StationProcesses) -> BookContents:
    """Read a simulator's book, while it writes."""
    return read(station.book)


def periods_used(stage: Stage) -> int:
    """Return in how many periods of the tariff energy was charged."""
    used = set()
    for station in stage.stations:
        for entry in simulator_contents(station).entries.values():
            used |= {i for i, energy_dwh in enumerate(entry.period_dwh) if energy_dwh}
    return len(used)


async def is_drained(stage: Stage) -> bool:
    """Tell whether nothing runs, every record is confirmed, and HQ has taken all in."""
    wanted = set()
    for station in stage.stations:
        contents = simulator_contents(station)
        if contents.open or not all(entry.confirmed for entry in contents.entries.values()):
            return False
        wanted |= set(contents.entries)
        if not has_told_hq(await station.agent_state()):
            return False
    orders = await _orders(stage)
    there = {order["transaction_no"] for order in orders}
    trips = [trip async for trip in stage.hq.read_all("/alarms/trips")]
    return (
        wanted <= there
        and not any(order["state"] in _OPEN for order in orders)
        and all(trip["zero_current_ms"] is not None for trip in trips)
    )


def has_told_hq(agent_state: dict[str, Any]) -> bool:
    """Tell whether HQ has every fact, and all measured values but those of just now."""
    hq = agent_state["hq"]
    return not any(hq["unacknowledged"].values()) and hq["backlog_records"] <= _JUST_MEASURED


async def compare_books(stage: Stage) -> Comparison:
    """Read the three books and compare them."""
    simulators: list[Entry] = []
    at_stations: list[Entry] = []
    for station in stage.stations:
        simulators += [
            Entry(entry.transaction_no, entry.energy_dwh, entry.payable_fen)
            for entry in simulator_contents(station).entries.values()
        ]
        at_stations += await _station_book(station)
    at_hq = [
        Entry(order["transaction_no"], order["energy_dwh"], order["payable_fen"], order["state"])
        for order in await _orders(stage)
        if order["ended_by"] or order["state"] not in CAME_TO_NOTHING
    ]
    return compare(simulators, at_stations, at_hq)


async def trips(stage: Stage) -> list[dict[str, Any]]:
    """Return what the stations' safety did, as HQ has it."""
    return [figures(trip) async for trip in stage.hq.read_all("/alarms/trips")]


def figures(trip: dict[str, Any]) -> dict[str, Any]:
    """Return what HQ's trip took, in milliseconds; without a siren there is no figure for it."""
    took = {
        "cause": trip["cause"],
        "connectors": len(trip["connectors"]),
        "detect_to_stop_ms": _ms(trip["stop_sent_us"]),
        "stop_to_zero_current_ms": trip["zero_current_ms"],
    }
    if trip["siren_us"] is not None:
        took["detect_to_siren_ms"] = _ms(trip["siren_us"])
    return took


def _ms(took_us: int | None) -> float | None:
    """Return milliseconds; None where nothing was sent, because nobody could be reached."""
    return None if took_us is None else took_us / _MS


async def _orders(stage: Stage) -> list[dict[str, Any]]:
    """Return HQ's orders, without wishes for which no station ever made a transaction."""
    return [order async for order in stage.hq.read_all("/orders") if order["transaction_no"]]


async def _station_book(station: StationProcesses) -> list[Entry]:
    answer = await ask(station.folder / "agent.sock", {"do": "export"})
    lines = [json.loads(line) for line in answer["lines"]]
    return [Entry(x["transaction_no"], x["energy_dwh"], _payable_fen(x)) for x in lines]


def _payable_fen(line: dict[str, Any]) -> int | None:
    """Round the station's exact fees; the demo's tariff has no price for time."""
    if line["energy_fee_nano"] is None:
        return None
    return divide_half_up(line["energy_fee_nano"] + line["service_fee_nano"], NANO_PER_FEN)
