"""Who may act on site: HQ's PINs reach their station whatever became of the command."""

from __future__ import annotations

from datetime import timedelta

from cloud.core.commands import CommandRow
from cloud.protection import people
from cloud.protection.service import station_row
from shared.contracts.commands import PublishPins
from shared.contracts.events import StationStateReported
from tests.component.cloud.slices.world import END, START, World


def reported(pins_version: int) -> StationStateReported:
    return StationStateReported(
        occurred_at=START,
        connectors=(),
        charge_points=(),
        open_transaction_ids=(),
        open_alarm_ids=(),
        access_version=99,
        registry_version=99,
        pins_version=pins_version,
    )


async def publish(world: World, *names: str) -> None:
    await people.set_pins(
        world.session,
        operator_id=world.station.operator_id,
        station_id=world.station.id,
        wanted=[people.Wanted(name, "staff") for name in names],
        by="wang",
        now=START,
    )


async def waiting(world: World) -> list[PublishPins]:
    rows = [row for row in await world.commands("PublishPins") if row.settled_at is None]
    found = [row.read_command() for row in rows]
    return [each for each in found if isinstance(each, PublishPins)]


async def settle(world: World) -> None:
    row: CommandRow
    for row in await world.commands("PublishPins"):
        row.settled_at = END + timedelta(minutes=1)


async def test_a_station_with_older_pins_is_sent_the_newest(world: World) -> None:
    await world.deliver(reported(0))
    assert await waiting(world) == []
    await publish(world, "li")
    await publish(world, "li", "王")
    await settle(world)  # in vain: given up, refused, or the disk was lost afterwards
    await world.deliver(reported(1))
    [command] = await waiting(world)
    assert (command.version, {pin.name for pin in command.pins}) == (2, {"li", "王"})
    await settle(world)
    await world.deliver(reported(2))
    assert await waiting(world) == []


async def test_what_is_on_its_way_is_not_sent_again(world: World) -> None:
    await publish(world, "li")
    await world.deliver(reported(0), reported(0))
    assert len(await world.commands("PublishPins")) == 1


async def test_an_hq_of_yesterday_counts_on_from_what_its_station_has(world: World) -> None:
    await publish(world, "li")
    await world.deliver(reported(7))
    await publish(world, "li", "王")
    assert (await waiting(world))[-1].version == 8
    row = await station_row(
        world.session, operator_id=world.station.operator_id, station_id=world.station.id
    )
    assert row.pins_version == 8
