"""Who is told of alarms: channels, rules, and what became of every notice."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Request
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from cloud.alarms.notify import service
from cloud.alarms.notify.addresses import ForbiddenAddressError, check_target
from cloud.alarms.notify.models import Channel, ChannelKind, Notice, NoticeState
from cloud.alarms.notify.schemas import (
    ChannelChange,
    ChannelCreate,
    ChannelMade,
    ChannelRead,
    DeliveryRead,
    RuleBody,
    RuleRead,
)
from cloud.core.audit import note_change
from cloud.core.db import SessionDep
from cloud.core.deps import Admin, ClockDep, Reader
from cloud.core.errors import NotFoundError, error_responses
from cloud.core.pagination import Page, PageDep, newest_first
from cloud.stations import lookup

router = APIRouter(prefix="/api/v1/notifications", tags=["notifications"])

_REFUSALS = error_responses(
    NotFoundError, service.NameTakenError, service.InvalidChannelError, ForbiddenAddressError
)


@router.get("/channels", operation_id="channels_list")
async def list_channels(session: SessionDep, staff: Admin) -> list[ChannelRead]:
    """List the channels, by name."""
    return [_channel(row) for row in await service.channels_of(session, staff.operator_id)]


@router.post("/channels", operation_id="channels_create", status_code=201, responses=_REFUSALS)
async def create_channel(
    body: ChannelCreate, request: Request, session: SessionDep, staff: Admin, clock: ClockDep
) -> ChannelMade:
    """Make a channel; a webhook's secret is in this answer and nowhere else."""
    await refuse_unreachable(request, body.kind, body.target)
    channel = await service.create_channel(
        session,
        operator_id=staff.operator_id,
        by=staff.name,
        now=clock.now(),
        **body.model_dump(),
    )
    return ChannelMade.model_validate(channel.model_dump())


@router.patch("/channels/{channel_id}", operation_id="channels_change", responses=_REFUSALS)
async def change_channel(
    channel_id: UUID, body: ChannelChange, request: Request, session: SessionDep, staff: Admin
) -> ChannelRead:
    """Change a channel; switched off it sends nothing more, not even what waits."""
    channel = await service.channel_by_id(session, staff.operator_id, channel_id)
    changes = body.model_dump(exclude_none=True)
    await refuse_unreachable(request, channel.kind, changes.get("target"))
    before = {name: getattr(channel, name) for name in changes}
    await service.change_channel(session, channel, changes)
    note_change(request, before=before, after=changes)
    return _channel(channel)


@router.delete(
    "/channels/{channel_id}",
    operation_id="channels_delete",
    status_code=204,
    responses=error_responses(NotFoundError, service.ChannelInUseError),
)
async def delete_channel(
    channel_id: UUID, request: Request, session: SessionDep, staff: Admin
) -> None:
    """Remove a channel with its notices."""
    channel = await service.channel_by_id(session, staff.operator_id, channel_id)
    note_change(request, before={"name": channel.name, "target": channel.target})
    await service.delete_channel(session, channel)


@router.post(
    "/channels/{channel_id}/test",
    operation_id="channels_test",
    status_code=202,
    responses=error_responses(NotFoundError),
)
async def test_channel(
    channel_id: UUID, session: SessionDep, staff: Admin, clock: ClockDep
) -> DeliveryRead:
    """Send a test notice, tried again like any other; `deliveries/ID` says what became of it."""
    channel = await service.channel_by_id(session, staff.operator_id, channel_id)
    return DeliveryRead.of(await service.send_test(session, channel, now=clock.now()))


@router.get("/rules", operation_id="notice_rules_list")
async def list_rules(session: SessionDep, staff: Admin) -> list[RuleRead]:
    """List the rules, by name."""
    numbers = await _numbers(session, staff.operator_id)
    rules = await service.rules_of(session, staff.operator_id)
    return [RuleRead.of(rule, numbers) for rule in rules]


@router.post(
    "/rules",
    operation_id="notice_rules_create",
    status_code=201,
    responses=error_responses(
        service.NameTakenError, service.InvalidRuleError, lookup.StationNotFoundError
    ),
)
async def create_rule(
    body: RuleBody, session: SessionDep, staff: Admin, clock: ClockDep
) -> RuleRead:
    """Make a rule. It counts for alarms that HQ hears of from now on."""
    rule = await service.save_rule(
        session,
        operator_id=staff.operator_id,
        values=await values_of(session, staff.operator_id, body),
        by=staff.name,
        now=clock.now(),
    )
    return RuleRead.of(rule, await _numbers(session, staff.operator_id))


@router.put(
    "/rules/{rule_id}",
    operation_id="notice_rules_change",
    responses=error_responses(NotFoundError, service.NameTakenError, service.InvalidRuleError),
)
async def change_rule(
    rule_id: UUID,
    body: RuleBody,
    request: Request,
    session: SessionDep,
    staff: Admin,
    clock: ClockDep,
) -> RuleRead:
    """Replace what a rule says."""
    rule = await service.rule_by_id(session, staff.operator_id, rule_id)
    values = await values_of(session, staff.operator_id, body)
    changed = {name: value for name, value in values.items() if getattr(rule, name) != value}
    note_change(request, before={name: getattr(rule, name) for name in changed}, after=changed)
    await service.save_rule(
        session,
        operator_id=staff.operator_id,
        values=values,
        by=staff.name,
        now=clock.now(),
        rule=rule,
    )
    return RuleRead.of(rule, await _numbers(session, staff.operator_id))


@router.delete(
    "/rules/{rule_id}",
    operation_id="notice_rules_delete",
    status_code=204,
    responses=error_responses(NotFoundError),
)
async def delete_rule(rule_id: UUID, request: Request, session: SessionDep, staff: Admin) -> None:
    """Remove a rule; what it has written is still sent."""
    rule = await service.rule_by_id(session, staff.operator_id, rule_id)
    note_change(request, before={"name": rule.name})
    await session.delete(rule)


@router.get("/deliveries", operation_id="deliveries_list")
async def list_deliveries(
    session: SessionDep,
    staff: Reader,
    page: PageDep,
    state: NoticeState | None = None,
    channel_id: UUID | None = None,
) -> Page[DeliveryRead]:
    """List notices with what became of them, newest first."""
    statement = select(Notice).where(Notice.operator_id == staff.operator_id)
    if state is not None:
        statement = statement.where(Notice.state == state)
    if channel_id is not None:
        statement = statement.where(Notice.channel_id == channel_id)
    rows, cursor = await newest_first(session, statement, page, id_column=col(Notice.id))
    return Page(items=[DeliveryRead.of(row) for row in rows], next_cursor=cursor)


@router.get(
    "/deliveries/{delivery_id}",
    operation_id="deliveries_read",
    responses=error_responses(NotFoundError),
)
async def read_delivery(delivery_id: UUID, session: SessionDep, staff: Reader) -> DeliveryRead:
    """Show one notice."""
    notice = await session.get(Notice, delivery_id)
    if notice is None or notice.operator_id != staff.operator_id:
        raise NotFoundError("no such notice")
    return DeliveryRead.of(notice)


@router.post(
    "/deliveries/{delivery_id}/redeliver",
    operation_id="deliveries_redeliver",
    status_code=202,
    responses=error_responses(NotFoundError),
)
async def redeliver(
    delivery_id: UUID, session: SessionDep, staff: Admin, clock: ClockDep
) -> DeliveryRead:
    """Try a dead notice again, under the same id."""
    notice = await service.redeliver(session, staff.operator_id, delivery_id, now=clock.now())
    return DeliveryRead.of(notice)


async def refuse_unreachable(request: Request, kind: ChannelKind, target: str | None) -> None:
    """Refuse a webhook that no notice could reach. Raises ForbiddenAddressError."""
    if kind is ChannelKind.WEBHOOK and target is not None:
        await check_target(target, request.app.state.webhook_networks)


def _channel(channel: Channel) -> ChannelRead:
    return ChannelRead.model_validate(channel.model_dump(exclude={"secret"}))


async def values_of(session: AsyncSession, operator_id: UUID, body: RuleBody) -> dict[str, object]:
    """Return a rule as it is stored. Raises StationNotFoundError."""
    stations = [await lookup.station_by_no(session, operator_id, no) for no in body.stations]
    return {
        **body.model_dump(exclude={"stations", "chain"}),
        "station_ids": [str(station.id) for station in stations],
        "chain": [[step.after_min, str(step.channel_id)] for step in body.chain],
    }


async def _numbers(session: AsyncSession, operator_id: UUID) -> dict[str, str]:
    stations = await lookup.stations_of(session, operator_id)
    return {str(station.id): station.station_no for station in stations}
