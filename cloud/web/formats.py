"""Numbers and times as pages show them; `None` is a dash. Pure."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from cloud.web.texts import Texts
from shared.energy import format_kwh
from shared.money import divide_half_up, format_yuan

NOTHING = "–"


def kw(power_w: int | None) -> str:
    """Return watts as kW with one decimal."""
    return NOTHING if power_w is None else _decimals(divide_half_up(power_w, 100), 1)


def kwh(energy_dwh: int | None) -> str:
    """Return 0.1 Wh as kWh with two decimals."""
    return NOTHING if energy_dwh is None else _decimals(divide_half_up(energy_dwh, 100), 2)


def exact_kwh(energy_dwh: int | None) -> str:
    """Return 0.1 Wh as kWh with all its four decimals."""
    return NOTHING if energy_dwh is None else format_kwh(energy_dwh)


def yuan(amount_fen: int | None) -> str:
    """Return fen as yuan with two decimals."""
    return NOTHING if amount_fen is None else f"¥{format_yuan(amount_fen)}"


def exact_yuan(amount_nano: int | None) -> str:
    """Return 1e-9 yuan with all its nine decimals."""
    return NOTHING if amount_nano is None else _decimals(amount_nano, 9)


def e4_yuan(amount_e4: int | None) -> str:
    """Return 1e-4 yuan with its four decimals, as charge points count."""
    return NOTHING if amount_e4 is None else f"¥{_decimals(amount_e4, 4)}"


def price(price_e5: int | None) -> str:
    """Return a price of 1e-5 yuan with its five decimals."""
    return NOTHING if price_e5 is None else _decimals(price_e5, 5)


def whole(value: int | None) -> str:
    """Return a number as it is."""
    return NOTHING if value is None else str(value)


def us_as_ms(time_us: int | None) -> str:
    """Return microseconds as milliseconds with one decimal."""
    return NOTHING if time_us is None else _decimals(divide_half_up(time_us, 100), 1)


def moment(at: datetime | None, zone: str) -> str:
    """Return an instant as a station's clock shows it: month, day, hour, minute."""
    return NOTHING if at is None else f"{at.astimezone(ZoneInfo(zone)):%m-%d %H:%M}"


def moment_s(at: datetime | None, zone: str) -> str:
    """Return an instant as a station's clock shows it, to the second."""
    return NOTHING if at is None else f"{at.astimezone(ZoneInfo(zone)):%m-%d %H:%M:%S}"


def full_moment(at: datetime | None, zone: str) -> str:
    """Return an instant with year, offset and zone, for whoever points at it."""
    return "" if at is None else f"{at.astimezone(ZoneInfo(zone)).isoformat(' ', 'seconds')} {zone}"


def ago(at: datetime | None, now: datetime, texts: Texts) -> str:
    """Return how long ago something was."""
    if at is None:
        return texts("ago.never")
    seconds = max(int((now - at).total_seconds()), 0)
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= length:
            return texts(f"ago.{unit}", n=seconds // length)
    return texts("ago.seconds", n=seconds)


def tail(number: str, length: int = 8) -> str:
    """Return the end of a long number; the whole of it stands where there is room."""
    return number if len(number) <= length else f"…{number[-length:]}"


def masked(token: str) -> str:
    """Return enough of a card's or an account's number to recognise it."""
    return tail(token, 4) if len(token) > 4 else "…" if token else ""


def _decimals(value: int, places: int) -> str:
    sign = "-" if value < 0 else ""
    ones, rest = divmod(abs(value), 10**places)
    return f"{sign}{ones}.{rest:0{places}d}"
