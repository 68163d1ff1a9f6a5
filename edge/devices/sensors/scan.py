"""Finding out what hangs on a line: which unit ids answer, and which models that could be."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager

from msgspec import Struct

from edge.devices.sensors.lines import LineConfig
from edge.devices.sensors.plan import plan_device
from edge.devices.sensors.profile import Profile, Table, decode
from edge.devices.sensors.wire import NoAnswerError, Wire
from shared.contracts.protection import Device, Quality
from shared.errors import DeviceRefusedError, DeviceUnreachableError

_KNOCK = (Table.HOLDING, Table.INPUT, Table.DISCRETE, Table.COIL)
"""Most devices answer the first, if only to refuse it; some are silent at what they do not know."""


class Fit(Struct, frozen=True, kw_only=True):
    """A model whose every request was answered; `good` of its `points` have a value."""

    model: str
    good: int
    points: int


class Found(Struct, frozen=True, kw_only=True):
    """A unit that answers, and the models that it could be, the likeliest first."""

    unit_id: int
    fits: tuple[Fit, ...]


async def scan(
    config: LineConfig,
    profiles: Mapping[str, Profile],
    units: Iterable[int],
    *,
    timeout_s: float = 0.1,
    progress: Callable[[int, Found | None], None] = lambda _unit, _found: None,
) -> list[Found]:
    """Ask each unit id in turn; nothing is written.

    Raises:
        OSError: No connection, or it was lost.
    """
    found = []
    async with connected(config) as wire:
        for unit_id in units:
            here = None
            if await _answers(wire, unit_id, timeout_s):
                fits = await _fits(wire, config, unit_id, profiles, timeout_s)
                here = Found(unit_id=unit_id, fits=fits)
                found.append(here)
            progress(unit_id, here)
    return found


@asynccontextmanager
async def connected(config: LineConfig) -> AsyncIterator[Wire]:
    """Open a line for a while. Raises OSError when that fails, or when it was lost meanwhile."""
    lost = ""

    def on_lost(reason: str) -> None:
        nonlocal lost
        lost = reason

    wire = Wire(config, on_lost)
    try:
        await wire.open()
        yield wire
        if lost:
            raise ConnectionError(lost)
    finally:
        wire.close()


async def _answers(wire: Wire, unit_id: int, timeout_s: float) -> bool:
    for table in _KNOCK:
        try:
            await wire.read(unit_id, table, 0, 1, timeout_s)
        except DeviceRefusedError:
            return True
        except NoAnswerError as error:
            if not wire.is_connected:
                raise ConnectionError(str(error)) from error
        else:
            return True
    return False


async def _fits(
    wire: Wire,
    config: LineConfig,
    unit_id: int,
    profiles: Mapping[str, Profile],
    timeout_s: float,
) -> tuple[Fit, ...]:
    fits = []
    for profile in profiles.values():
        fit = await _try(wire, config, unit_id, profile, timeout_s)
        if fit is not None:
            fits.append(fit)
    return tuple(sorted(fits, key=lambda fit: (fit.good < fit.points, -fit.good, fit.model)))


async def _try(
    wire: Wire, config: LineConfig, unit_id: int, profile: Profile, timeout_s: float
) -> Fit | None:
    device = Device(name="?", line=config.name, unit_id=unit_id, profile=profile.model)
    good = 0
    for read in plan_device(device, profile, config):
        wait_s = config.timeout_s(read.answer_bytes, timeout_s)
        try:
            raw = await wire.read(unit_id, read.table, read.address, read.count, wait_s)
        except (DeviceRefusedError, DeviceUnreachableError):
            return None
        for each in read.points:
            _, quality = decode(each.point, raw[each.point.address - read.address :])
            good += quality is Quality.GOOD
    return Fit(model=profile.model, good=good, points=len(profile.points)) if good else None
