"""Tariffs and access on a real database."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import msgspec
import pytest

from cloud.access import service as access
from cloud.stations import service as stations
from cloud.tariffs import service as tariffs
from cloud.tariffs.models import TariffKind
from shared.contracts.commands import AnswerAuthorization, PublishAccessList, PublishTariff
from shared.contracts.events import (
    AuthorizationAsked,
    StationStateReported,
    TariffConfirmed,
    Token,
)
from shared.contracts.words import RefusalReason, TokenKind
from shared.tariff import Period, PeriodPrice, Tariff
from tests.component.cloud.slices.world import (
    CARD,
    CHARGE_POINT_NO,
    START,
    TARIFF,
    World,
)

# --- tariffs -----------------------------------------------------------------------------------


async def publish(world: World, tariff: Tariff, *, days: int = 0) -> tariffs.Version:
    return await tariffs.create_version(
        world.session,
        operator_id=world.station.operator_id,
        station_id=world.station.id,
        tariff=tariff,
        valid_from=START + timedelta(days=days),
        now=START,
    )


def state(world: World, *, tariff: UUID | None = None, access_version: int = 99) -> object:
    return StationStateReported(
        occurred_at=START,
        connectors=(),
        charge_points=(),
        open_transaction_ids=(),
        open_alarm_ids=(),
        access_version=access_version,
        registry_version=99,
        tariff_version_id=tariff,
    )


async def test_versions_count_and_are_sent(world: World) -> None:
    by_time = Tariff(TARIFF.slots, dict.fromkeys(Period, PeriodPrice(0, 0)), per_minute_e5=100)
    both = Tariff(TARIFF.slots, TARIFF.prices, per_minute_e5=100)
    made = [world.version, await publish(world, by_time), await publish(world, both)]
    assert [(v.version, v.model_no, v.kind) for v in made] == [
        (1, 1, TariffKind.ENERGY),
        (2, 2, TariffKind.TIME),
        (3, 3, TariffKind.BOTH),
    ]
    sent = [row.read_command() for row in await world.commands("PublishTariff")]
    assert sorted(c.tariff.version for c in sent if isinstance(c, PublishTariff)) == [1, 2, 3]
    assert tariffs.tariff_of(made[2]) == both
    assert made[2].content_hash == both.content_hash()


async def test_a_tariff_that_cannot_be_charged_names_its_field(world: World) -> None:
    without_sharp = {p: price for p, price in TARIFF.prices.items() if p is not Period.SHARP}
    for tariff, field in (
        (Tariff("F" * 48, without_sharp), "tariff.prices_e5.sharp"),
        (Tariff("F" * 47, TARIFF.prices), "tariff.slots"),
        (Tariff(TARIFF.slots, TARIFF.prices, per_minute_e5=2**40), "tariff.per_minute_e5"),
    ):
        with pytest.raises(tariffs.InvalidTariffError) as caught:
            await publish(world, tariff)
        assert caught.value.context["field"] == field


async def test_a_station_with_an_old_tariff_is_sent_what_it_lacks(world: World) -> None:
    second = await publish(world, Tariff("F" * 48, TARIFF.prices))
    future = await publish(world, Tariff("P" * 48, TARIFF.prices), days=9)
    for held, expected in (
        (None, [2, 3]),
        (world.version.id, [2, 3]),
        (uuid4(), [2, 3]),
        (second.id, [3]),
        (future.id, []),
    ):
        before = {row.id for row in await world.commands("PublishTariff")}
        await world.deliver(state(world, tariff=held))  # type: ignore[arg-type]
        fresh = [r for r in await world.commands("PublishTariff") if r.id not in before]
        versions = [row.read_command().tariff.version for row in fresh]  # type: ignore[union-attr]
        assert sorted(versions) == expected


async def test_who_holds_what_is_what_was_confirmed_last(world: World) -> None:
    def confirmed(minute: int, model_no: int) -> TariffConfirmed:
        return TariffConfirmed(
            occurred_at=START + timedelta(minutes=minute),
            charge_point_no=CHARGE_POINT_NO,
            tariff_version_id=world.version.id,
            model_no=model_no,
            content_hash="00",
        )

    await world.deliver(confirmed(1, 1), confirmed(3, 3), confirmed(2, 2), confirmed(3, 3))
    [holding] = await tariffs.holdings_of(
        world.session, operator_id=world.station.operator_id, station_id=world.station.id
    )
    await world.session.refresh(holding)
    assert holding.model_no == 3


# --- access ------------------------------------------------------------------------------------


async def ask(world: World, token: Token) -> AnswerAuthorization:
    request_id = uuid4()
    await world.deliver(
        AuthorizationAsked(
            occurred_at=START,
            request_id=request_id,
            token=token,
            charge_point_no=CHARGE_POINT_NO,
            connector_no=1,
        )
    )
    answers = [row.read_command() for row in await world.commands("AnswerAuthorization")]
    [answer] = [
        a for a in answers if isinstance(a, AnswerAuthorization) and a.request_id == request_id
    ]
    return answer


async def test_a_question_is_answered_with_what_is_left_of_the_limit(world: World) -> None:
    assert (await ask(world, CARD)).limit_fen == 50_000
    lower = msgspec.structs.replace(CARD, value=CARD.value.lower())
    assert (await ask(world, lower)).accepted
    await world.deliver(world.started(token=CARD), world.authorized(limit_fen=20_000))
    assert (await ask(world, CARD)).limit_fen == 30_000
    await world.deliver(world.ended())
    assert (await ask(world, CARD)).limit_fen == 50_000


async def test_refusals_say_why(world: World) -> None:
    operator_id = world.station.operator_id

    async def make(value: str, **fields: object) -> Token:
        token = await access.create_token(
            world.session,
            operator_id=operator_id,
            kind=TokenKind.ACCOUNT,
            value=value,
            now=START,
            **fields,  # type: ignore[arg-type]
        )
        return Token(token.kind, token.value)

    expected = {
        Token(TokenKind.CARD, "0" * 16): RefusalReason.UNKNOWN_TOKEN,
        Token(TokenKind.VIN, "LSVAM4187C2184847"): RefusalReason.UNKNOWN_VIN,
        await make("frozen", frozen=True): RefusalReason.TOKEN_FROZEN,
        await make("old", expires_at=START): RefusalReason.TOKEN_FROZEN,
        await make("free"): RefusalReason.NONE,
    }
    for token, reason in expected.items():
        answer = await ask(world, token)
        assert (answer.reason, answer.accepted) == (reason, reason is RefusalReason.NONE)


async def test_a_scope_keeps_a_token_where_it_belongs(world: World) -> None:
    found = await access.find_token(
        world.session, operator_id=world.station.operator_id, token=CARD
    )
    assert found is not None
    decision, _ = await access.authorize(
        world.session,
        operator_id=world.station.operator_id,
        station_id=world.station.id,
        token=CARD,
        now=START,
    )
    assert decision.accepted
    await access.change_token(
        world.session,
        operator_id=world.station.operator_id,
        token_id=found.id,
        station_ids=[world.station.id],
        now=START,
    )
    elsewhere, _ = await access.authorize(
        world.session,
        operator_id=world.station.operator_id,
        station_id=uuid4(),
        token=CARD,
        now=START,
    )
    assert elsewhere.reason is RefusalReason.NOT_ALLOWED_HERE


async def test_each_change_gives_stations_a_higher_list_and_only_the_last_is_sent(
    world: World,
) -> None:
    found = await access.find_token(
        world.session, operator_id=world.station.operator_id, token=CARD
    )
    assert found is not None
    await access.change_token(
        world.session,
        operator_id=world.station.operator_id,
        token_id=found.id,
        frozen=True,
        now=START,
    )
    waiting = [r for r in await world.commands("PublishAccessList") if r.settled_at is None]
    [command] = [row.read_command() for row in waiting]
    assert isinstance(command, PublishAccessList)
    assert command.version == 2
    assert [(e.token, e.frozen) for e in command.entries] == [(CARD, True)]
    await world.deliver(state(world, tariff=world.version.id, access_version=1))  # type: ignore[arg-type]
    await world.deliver(state(world, tariff=world.version.id, access_version=2))  # type: ignore[arg-type]
    assert len(await world.commands("PublishAccessList")) == 3


@pytest.mark.parametrize(
    ("kind", "value"),
    [(TokenKind.CARD, "12"), (TokenKind.VIN, "I" * 17), (TokenKind.ACCOUNT, "a b")],
)
async def test_a_value_that_no_token_has_is_refused(
    world: World, kind: TokenKind, value: str
) -> None:
    with pytest.raises(access.InvalidTokenError):
        await access.create_token(
            world.session,
            operator_id=world.station.operator_id,
            kind=kind,
            value=value,
            now=START,
        )
    with pytest.raises(access.TokenExistsError):
        await access.create_token(
            world.session,
            operator_id=world.station.operator_id,
            kind=CARD.kind,
            value=CARD.value.lower(),
            now=START,
        )


async def test_a_card_is_found_by_its_logical_number_too(world: World) -> None:
    who = {"operator_id": world.station.operator_id}
    made = [
        await access.create_token(
            world.session,
            **who,
            kind=TokenKind.CARD,
            value=f"{number:016X}",
            logical_card_no=logical,
            now=START,
        )
        for number, logical in ((1, "5500000012345678"), (2, "77"), (3, "77"))
    ]
    for value, expected in (("5500000012345678", made[0]), ("77", None), ("", None)):
        token = Token(TokenKind.CARD, value)
        assert await access.find_token(world.session, **who, token=token) is expected


async def test_a_station_is_not_told_what_its_own_orders_may_cost(world: World) -> None:
    operator_id = world.station.operator_id
    who = {"operator_id": operator_id}
    other, _secret = await stations.create_station(
        world.session,
        **who,
        station_no="1002",
        name_zh="二号站",
        name_en="Station two",
        time_zone="Asia/Shanghai",
        now=START,
    )
    await world.deliver(world.authorized(), world.started())
    found = await access.find_token(world.session, **who, token=CARD)
    assert found is not None
    await access.change_token(world.session, **who, token_id=found.id, holder="张三", now=START)

    async def told_fen() -> dict[UUID, list[int]]:
        waiting = [r for r in await world.commands("PublishAccessList") if r.settled_at is None]
        lists = {row.station_id: row.read_command() for row in waiting}
        return {
            station_id: [entry.exposure_fen for entry in command.entries]
            for station_id, command in lists.items()
            if isinstance(command, PublishAccessList)
        }

    assert await told_fen() == {world.station.id: [0], other.id: [20_000]}
    # Where somebody else charges too, that is what is left.
    await access.set_exposures(
        world.session, [access.Exposed(operator_id, other.id, UUID(int=9), CARD, 700, True)]
    )
    await access.change_token(world.session, **who, token_id=found.id, holder="李四", now=START)
    assert await told_fen() == {world.station.id: [700], other.id: [20_000]}
    await world.deliver(world.ended())
    await access.change_token(world.session, **who, token_id=found.id, holder="王五", now=START)
    assert await told_fen() == {world.station.id: [700], other.id: [0]}
    # A station has forgotten what is estimated or in review: there too it must be told.
    await access.set_exposures(
        world.session, [access.Exposed(operator_id, other.id, UUID(int=9), CARD, 700, False)]
    )
    await access.change_token(world.session, **who, token_id=found.id, holder="赵六", now=START)
    assert await told_fen() == {world.station.id: [700], other.id: [700]}
