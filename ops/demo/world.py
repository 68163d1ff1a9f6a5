"""What the demo is made of: stations, charge points, cars, cards and the tariff. Plain data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from random import Random
from zoneinfo import ZoneInfo

ZONE = "Asia/Shanghai"
SCALE = 120.0
WEB_PORT = 8080  # where people look for it
CHARGE_POINTS_PER_STATION = 6
CONNECTORS = 2
RATED_KW = 120
_FIRST_MINUTE = (
    6 * 60 + 30
)  # the local time at which a day begins: valley, then flat at 7:00, peak at 7:30
_CARDS = 40
_VIN_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ0123456789"

TARIFF = {
    # A half hour is 15 real seconds: a day's morning sees valley, flat, peak and sharp.
    "slots": "VVVVVVVVVVVVVVFPSFPSFPSFPSFPSFPSFPSFPSFPSFPSFPVV",
    "prices_e5": {
        "sharp": [123456, 45000],
        "peak": [102345, 45000],
        "flat": [65432, 40000],
        "valley": [32109, 35000],
    },
    "per_minute_e5": 0,
}


@dataclass(frozen=True, slots=True)
class StationPlan:
    """A station to be made."""

    station_no: str
    name_zh: str
    name_en: str
    charge_point_nos: tuple[str, ...]  # consecutive

    @property
    def connectors(self) -> list[tuple[str, int]]:
        """All connectors: charge point number, connector number."""
        return [(no, n) for no in self.charge_point_nos for n in range(1, CONNECTORS + 1)]


@dataclass(frozen=True, slots=True)
class World:
    """Everything of one demo; the same seed gives the same."""

    stations: tuple[StationPlan, ...]
    cards: tuple[str, ...]
    vins: tuple[str, ...]
    scale: float = SCALE
    web_port: int = WEB_PORT  # 0 = any free one


def make_world(seed: int, *, web_port: int = WEB_PORT) -> World:
    """Return the demo's world; `web_port` is where HQ's pages are, 0 for any free one."""
    random = Random(f"world/{seed}")  # noqa: S311 - names in a demo, not secrets
    names = (("S-0001", "浦东示范站", "Pudong demo"), ("S-0002", "虹桥示范站", "Hongqiao demo"))
    stations = tuple(
        StationPlan(station_no, name_zh, name_en, _numbers(index))
        for index, (station_no, name_zh, name_en) in enumerate(names, 1)
    )
    cards = tuple(f"{random.randrange(1 << 60):016X}" for _ in range(_CARDS))
    vins = tuple("LVW" + "".join(random.choices(_VIN_LETTERS, k=14)) for _ in range(_CARDS))
    return World(stations, cards, vins, web_port=web_port)


def _numbers(station: int) -> tuple[str, ...]:
    return tuple(f"320106{station}{n:07d}" for n in range(1, 1 + CHARGE_POINTS_PER_STATION))


def first_ms(today: datetime) -> int:
    """Return the instant at which the demo's clock starts, on the local day of `today`."""
    local = today.astimezone(ZoneInfo(ZONE)).replace(
        hour=_FIRST_MINUTE // 60, minute=_FIRST_MINUTE % 60, second=0, microsecond=0
    )
    return int(local.timestamp()) * 1000
