"""What a running charge may cost, changed by staff: what its token is counted at meanwhile."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cloud.access import service as access
from cloud.orders.service import TokenRefusedError
from cloud.remote import service as remote
from shared.contracts.events import CommandSettled
from shared.contracts.words import Outcome
from tests.component.cloud.slices.world import CARD, START, World

NOW = START + timedelta(minutes=5)


async def counted_fen(world: World) -> int:
    return await access.exposure_of(
        world.session, operator_id=world.station.operator_id, token=CARD
    )


async def change(world: World, limit_fen: int) -> CommandSettled:
    """Change the limit; return the station's word that it holds."""
    order = await world.only_order()
    row = await remote.change_limit(
        world.session,
        operator_id=world.station.operator_id,
        order_id=order.id,
        limit_fen=limit_fen,
        now=NOW,
    )
    await world.session.flush()
    return CommandSettled(occurred_at=NOW, command_id=row.id, outcome=Outcome.DONE)


async def test_a_lower_limit_counts_once_the_station_has_taken_it(world: World) -> None:
    await world.deliver(world.authorized(), world.started())
    assert await counted_fen(world) == 20_000
    done = await change(world, 1_000)
    assert await counted_fen(world) == 20_000  # until then it may cost so much
    await world.deliver(done)
    assert await counted_fen(world) == 1_000
    assert (await world.only_order()).limit_fen == 1_000


@pytest.mark.parametrize("outcome", [Outcome.REJECTED, Outcome.FAILED, Outcome.ALREADY_ENDED])
async def test_a_lower_limit_that_the_station_does_not_take_frees_nothing(
    world: World, outcome: Outcome
) -> None:
    await world.deliver(world.authorized(), world.started())
    done = await change(world, 1_000)
    await world.deliver(
        CommandSettled(occurred_at=NOW, command_id=done.command_id, outcome=outcome)
    )
    assert await counted_fen(world) == 20_000


async def test_a_higher_limit_counts_at_once_and_the_last_that_was_taken_holds(
    world: World,
) -> None:
    await world.deliver(world.authorized(), world.started())
    lower = await change(world, 1_000)
    await world.deliver(lower)
    higher = await change(world, 30_000)
    assert await counted_fen(world) == 30_000
    await world.deliver(higher, lower)  # said twice, as after a lost acknowledgement
    assert await counted_fen(world) == 30_000


async def test_a_limit_leaves_alone_what_was_just_allowed_elsewhere(world: World) -> None:
    await world.deliver(world.authorized(), world.started())
    await access.reserve(
        world.session,
        operator_id=world.station.operator_id,
        station_id=world.station.id,
        connector=("55031412782306", 1),
        token=CARD,
        amount_fen=30_000,
        now=NOW,
    )
    with pytest.raises(TokenRefusedError):
        await change(world, 20_001)
    await change(world, 20_000)


@pytest.mark.parametrize("changes", [{"frozen": True}, {"expires_at": NOW - timedelta(minutes=1)}])
async def test_a_token_that_may_not_start_may_not_have_its_charge_cost_more(
    world: World, changes: dict[str, object]
) -> None:
    await world.deliver(world.authorized(), world.started())
    found = await access.find_token(
        world.session, operator_id=world.station.operator_id, token=CARD
    )
    assert found is not None
    await access.change_token(
        world.session,
        operator_id=world.station.operator_id,
        token_id=found.id,
        now=NOW,
        limit_fen=100_000,
        **changes,
    )
    with pytest.raises(TokenRefusedError):
        await change(world, 20_001)
    await change(world, 20_000)
    await change(world, 1_000)
    await change(world, 0)  # as much as it may already
    assert await counted_fen(world) == 20_000
