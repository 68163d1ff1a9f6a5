"""What stations answer to commands, as staff reads it."""

from __future__ import annotations

import pytest

from cloud.core.commands import enqueue_command, find_command
from cloud.remote.schemas import CommandRead
from shared.contracts.commands import QueryOfflineCards
from shared.contracts.events import CommandSettled
from shared.contracts.words import Outcome
from tests.component.cloud.slices.world import CHARGE_POINT_NO, START, World


@pytest.mark.parametrize("answer", [b"\xff", b"[{", b'{"present": 1}', b"[1]"])
async def test_an_answer_that_makes_no_sense_hides_no_other_command(
    world: World, answer: bytes
) -> None:
    command = QueryOfflineCards(charge_point_no=CHARGE_POINT_NO, physical_card_nos=("1",))
    command_id = await enqueue_command(
        world.session, world.station.id, command, expires_at=None, now=START
    )
    await world.deliver(
        CommandSettled(
            occurred_at=START, command_id=command_id, outcome=Outcome.DONE, answer=answer
        )
    )
    row = await find_command(world.session, command_id)
    assert row is not None
    shown = CommandRead.of(row)
    assert (shown.outcome, shown.answer) == (Outcome.DONE, None)
