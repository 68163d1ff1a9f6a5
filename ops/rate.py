"""`vw rate`: what a charge costs, from meter readings and a tariff, without any database.

The same pure functions as at the station and at HQ; here is only the reading of the file.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from shared.clock import from_ms, to_ms
from shared.energy import DWH_PER_KWH
from shared.money import format_yuan
from shared.rating import Bill, RatingError, Reading, rate_readings
from shared.tariff import Period, PeriodPrice, Tariff, TariffError, check_tariff

_USAGE = 2
_PRICE_MAX_E5 = 2**32
_METER_MAX_DWH = 2**53

app = typer.Typer(add_completion=False)


class InputError(ValueError):
    """Input that cannot be rated; `field` says which."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field


@app.command()
def rate(
    file: Annotated[str, typer.Argument(help="A JSON file, or - for stdin.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Rate meter readings with a tariff; exit 2 with the field's name if they are wrong."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        bill, zone = rate_text(text)
    except OSError as error:
        _refuse(f"{file}: {error.strerror}")
    except UnicodeDecodeError:
        _refuse(f"{file}: not UTF-8")
    except (InputError, RatingError, TariffError) as error:
        _refuse(str(error))
    if as_json:
        sys.stdout.write(json.dumps(as_object(bill, zone)) + "\n")
    else:
        sys.stdout.write(as_table(bill, zone))


def rate_text(text: str) -> tuple[Bill, ZoneInfo]:
    """Rate a JSON text; return the bill and the zone in which its times are shown.

    Raises:
        InputError: The text is no such JSON; the error names the field.
        RatingError: The readings cannot be rated.
        TariffError: The tariff cannot be used.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError("JSON", str(error)) from error
    values = _fields(document, "file", required=("tariff", "readings"), optional=("time_zone",))
    zone = _zone(values.get("time_zone", "Asia/Shanghai"))
    tariff = _tariff(values["tariff"])
    readings = [_reading(item, f"readings[{i}]") for i, item in enumerate(_list(values))]
    check_tariff(tariff)
    try:
        return rate_readings(readings, tariff, zone), zone
    except OverflowError as error:
        raise InputError("readings", "a time is outside the calendar") from error


def as_object(bill: Bill, zone: ZoneInfo) -> dict[str, Any]:
    """Return a bill as plain values; nano is 1e-9 yuan, dwh is 0.1 Wh."""
    lines = [
        {
            "from": _local(line.from_ms, zone),
            "to": _local(line.to_ms, zone),
            "period": line.period.value,
            "energy_dwh": line.energy_dwh,
            "energy_fee_nano": line.energy_fee_nano,
            "service_fee_nano": line.service_fee_nano,
            "energy_fee_fen": line.energy_fee_fen,
            "service_fee_fen": line.service_fee_fen,
        }
        for line in bill.lines
    ]
    return {
        "lines": lines,
        "minutes": bill.minutes,
        "energy_dwh": bill.energy_dwh,
        "energy_fee_fen": bill.energy_fee_fen,
        "service_fee_fen": bill.service_fee_fen,
        "time_fee_fen": bill.time_fee_fen,
        "total_nano": bill.total_nano,
        "payable_fen": bill.payable_fen,
    }


def as_table(bill: Bill, zone: ZoneInfo) -> str:
    """Return a bill for people."""
    rows = [
        f"{_local(line.from_ms, zone):25}  {_local(line.to_ms, zone):25}  {line.period.value:6}"
        f"  {line.energy_dwh / DWH_PER_KWH:10.4f} kWh"
        f"  {format_yuan(line.energy_fee_fen):>9}  {format_yuan(line.service_fee_fen):>9}"
        for line in bill.lines
    ]
    sums = (
        f"energy {format_yuan(bill.energy_fee_fen)}  service {format_yuan(bill.service_fee_fen)}"
        f"  time {format_yuan(bill.time_fee_fen)}  payable {format_yuan(bill.payable_fen)} yuan"
    )
    return "\n".join([*rows, sums, ""])


def _refuse(reason: str) -> None:
    sys.stderr.write(f"vw rate: {' '.join(reason.split())}\n")
    raise typer.Exit(_USAGE)


def _local(at_ms: int | None, zone: ZoneInfo) -> str:
    return "" if at_ms is None else from_ms(at_ms).astimezone(zone).isoformat()


def _fields(
    value: Any, field: str, *, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(field, "must be an object")
    for name in required:
        if name not in value:
            raise InputError(_join(field, name), "missing")
    for name in value:
        if name not in required and name not in optional:
            raise InputError(_join(field, name), "unknown field")
    return value


def _join(field: str, name: str) -> str:
    return name if field == "file" else f"{field}.{name}"


def _list(values: dict[str, Any]) -> list[Any]:
    readings = values["readings"]
    if not isinstance(readings, list):
        raise InputError("readings", "must be a list of [instant, meter in 0.1 Wh]")
    return readings


def _zone(value: Any) -> ZoneInfo:
    if not isinstance(value, str) or not value:
        raise InputError("time_zone", "must be a name such as Asia/Shanghai")
    try:
        return ZoneInfo(value)
    except (KeyError, ValueError, OSError) as error:
        raise InputError("time_zone", f"unknown zone {value!r}") from error


def _tariff(value: Any) -> Tariff:
    fields = _fields(value, "tariff", required=("slots", "prices_e5"), optional=("per_minute_e5",))
    if not isinstance(fields["slots"], str):
        raise InputError("tariff.slots", "must be a text of 48 letters S P F V")
    prices = _fields(fields["prices_e5"], "tariff.prices_e5", required=(), optional=tuple(Period))
    per_minute_e5 = fields.get("per_minute_e5", 0)
    return Tariff(
        slots=fields["slots"],
        prices={Period(name): _price(pair, name) for name, pair in prices.items()},
        per_minute_e5=_whole(per_minute_e5, "tariff.per_minute_e5", _PRICE_MAX_E5),
    )


def _price(pair: Any, name: str) -> PeriodPrice:
    field = f"tariff.prices_e5.{name}"
    if not isinstance(pair, list) or len(pair) != 2:
        raise InputError(field, "must be [electricity, service] in 1e-5 yuan/kWh")
    return PeriodPrice(
        energy_price_e5=_whole(pair[0], f"{field}[0]", _PRICE_MAX_E5),
        service_price_e5=_whole(pair[1], f"{field}[1]", _PRICE_MAX_E5),
    )


def _reading(item: Any, field: str) -> Reading:
    if not isinstance(item, list) or len(item) != 2:
        raise InputError(field, "must be [instant, meter in 0.1 Wh]")
    instant, meter_dwh = item
    if not isinstance(instant, str):
        raise InputError(f"{field}[0]", "must be a time such as 2026-11-22T06:40:00+08:00")
    try:
        at = datetime.fromisoformat(instant)
    except ValueError as error:
        raise InputError(f"{field}[0]", f"not a time: {instant!r}") from error
    if at.utcoffset() is None:
        raise InputError(f"{field}[0]", f"naive time {instant!r}; add its offset, as +08:00")
    at_ms = to_ms(at)
    try:
        from_ms(at_ms)
    except (OverflowError, ValueError) as error:
        raise InputError(f"{field}[0]", f"outside the calendar: {instant!r}") from error
    return Reading(at_ms, _whole(meter_dwh, f"{field}[1]", _METER_MAX_DWH))


def _whole(value: Any, field: str, limit: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputError(field, "must be a whole number")
    if value < 0:
        raise InputError(field, f"negative: {value}")
    if value >= limit:
        raise InputError(field, "too large")
    return value
