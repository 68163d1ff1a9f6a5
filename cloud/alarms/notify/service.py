"""Channels, rules and notices as people keep them. Functions take an open transaction."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, delete, select, update

from cloud.alarms.notify.addresses import read_url
from cloud.alarms.notify.messages import message_of
from cloud.alarms.notify.models import (
    Channel,
    ChannelKind,
    Notice,
    NoticeKind,
    NoticeState,
    Rule,
)
from cloud.alarms.notify.senders import SECRET_PREFIX
from cloud.core.errors import BusinessError, NotFoundError
from shared.clock import to_ms
from shared.contracts.words import Severity
from shared.ids import uuid7


class NameTakenError(BusinessError):
    """Another one has this name."""

    code = "name_taken"


class ChannelInUseError(BusinessError):
    """A rule uses this channel; take it out there first."""

    code = "channel_in_use"


class InvalidChannelError(BusinessError):
    """A target that this kind of channel cannot reach."""

    status = 422
    code = "invalid_channel"


class InvalidRuleError(BusinessError):
    """A rule that names a channel or station that is not there."""

    status = 422
    code = "invalid_rule"


async def create_channel(
    session: AsyncSession,
    *,
    operator_id: UUID,
    name: str,
    kind: ChannelKind,
    target: str,
    language: str,
    by: str,
    now: datetime,
) -> Channel:
    """Make a channel; a webhook gets its secret, which is shown this once.

    Raises:
        InvalidChannelError, ForbiddenAddressError: The target cannot be one of this kind.
        NameTakenError: The name is in use.
    """
    _check_target(kind, target)
    await _refuse_taken(session, Channel, operator_id, name)
    secret = ""
    if kind is ChannelKind.WEBHOOK:
        secret = SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
    channel = Channel(
        id=uuid7(to_ms(now)),
        operator_id=operator_id,
        name=name,
        kind=kind,
        target=target,
        secret=secret,
        language=language,
        created_at=now,
        created_by=by,
    )
    session.add(channel)
    await session.flush()
    return channel


async def change_channel(
    session: AsyncSession, channel: Channel, changes: Mapping[str, Any]
) -> None:
    """Change name, target, language or whether it is used; switched off it sends nothing more.

    Raises:
        InvalidChannelError, ForbiddenAddressError: The target cannot be one of this kind.
        NameTakenError: The name is in use.
    """
    if "target" in changes:
        _check_target(channel.kind, changes["target"])
    if changes.get("name", channel.name) != channel.name:
        await _refuse_taken(session, Channel, channel.operator_id, changes["name"])
    for name, value in changes.items():
        setattr(channel, name, value)
    session.add(channel)
    if not channel.active:
        await session.execute(
            update(Notice)
            .where(col(Notice.channel_id) == channel.id, col(Notice.state) == NoticeState.WAITING)
            .values(state=NoticeState.DEAD, next_try_at=None, last_error="channel switched off")
        )
    await session.flush()


async def delete_channel(session: AsyncSession, channel: Channel) -> None:
    """Remove a channel with its notices. Raises ChannelInUseError."""
    rules = await session.scalars(select(Rule).where(Rule.operator_id == channel.operator_id))
    for rule in rules:
        if any(channel_id == str(channel.id) for _, channel_id in rule.chain):
            raise ChannelInUseError(f"rule {rule.name} uses it", rule=rule.name)
    await session.execute(delete(Notice).where(col(Notice.channel_id) == channel.id))
    await session.delete(channel)


async def channel_by_id(session: AsyncSession, operator_id: UUID, channel_id: UUID) -> Channel:
    """Return a channel. Raises NotFoundError."""
    found = await session.get(Channel, channel_id)
    if found is None or found.operator_id != operator_id:
        raise NotFoundError("no such channel")
    return found


async def channels_of(session: AsyncSession, operator_id: UUID) -> Sequence[Channel]:
    """Return the channels of an operator, by name."""
    statement = select(Channel).where(Channel.operator_id == operator_id)
    return (await session.scalars(statement.order_by(col(Channel.name)))).all()


async def save_rule(
    session: AsyncSession,
    *,
    operator_id: UUID,
    values: Mapping[str, Any],
    by: str,
    now: datetime,
    rule: Rule | None = None,
) -> Rule:
    """Make a rule, or put these values into one.

    Raises:
        InvalidRuleError: It names a channel that is not there.
        NameTakenError: The name is in use.
    """
    known = {str(channel.id) for channel in await channels_of(session, operator_id)}
    for place, (_, channel_id) in enumerate(values["chain"]):
        if channel_id not in known:
            raise InvalidRuleError("no such channel", field=f"chain[{place}].channel_id")
    if rule is None or rule.name != values["name"]:
        await _refuse_taken(session, Rule, operator_id, values["name"])
    if rule is None:
        rule = Rule(
            id=uuid7(to_ms(now)),
            operator_id=operator_id,
            created_at=now,
            created_by=by,
            **values,
        )
    else:
        for name, value in values.items():
            setattr(rule, name, value)
    session.add(rule)
    await session.flush()
    return rule


async def rule_by_id(session: AsyncSession, operator_id: UUID, rule_id: UUID) -> Rule:
    """Return a rule. Raises NotFoundError."""
    found = await session.get(Rule, rule_id)
    if found is None or found.operator_id != operator_id:
        raise NotFoundError("no such rule")
    return found


async def rules_of(session: AsyncSession, operator_id: UUID) -> Sequence[Rule]:
    """Return the rules of an operator, by name."""
    statement = select(Rule).where(Rule.operator_id == operator_id)
    return (await session.scalars(statement.order_by(col(Rule.name)))).all()


async def send_test(session: AsyncSession, channel: Channel, *, now: datetime) -> Notice:
    """Have a test notice sent the way that all notices go."""
    notice = Notice(
        id=uuid7(to_ms(now)),
        operator_id=channel.operator_id,
        channel_id=channel.id,
        kind=NoticeKind.TEST,
        severity=Severity.INFO,
        message=message_of(NoticeKind.TEST, [], None, now),
        next_try_at=now,
        created_at=now,
    )
    session.add(notice)
    await session.flush()
    return notice


async def redeliver(
    session: AsyncSession, operator_id: UUID, notice_id: UUID, *, now: datetime
) -> Notice:
    """Have a dead notice tried again, under its own id; others stay as they are.

    Raises:
        NotFoundError: No such notice.
    """
    notice = await session.get(Notice, notice_id, with_for_update=True)
    if notice is None or notice.operator_id != operator_id:
        raise NotFoundError("no such notice")
    if notice.state is NoticeState.DEAD:
        notice.state, notice.tries, notice.next_try_at = NoticeState.WAITING, 0, now
        session.add(notice)
        await session.flush()
    return notice


def _check_target(kind: ChannelKind, target: str) -> None:
    if kind is ChannelKind.WEBHOOK:
        read_url(target)
    elif kind is ChannelKind.EMAIL:
        name, at, domain = target.rpartition("@")
        odd = any(c.isspace() or c in ",;<>" for c in target)
        if not name or not at or not domain or odd or not target.isprintable():
            raise InvalidChannelError("one e-mail address, NAME@DOMAIN", field="target")
    elif target:
        raise InvalidChannelError("the log has no target", field="target")


async def _refuse_taken(
    session: AsyncSession, table: type[Channel | Rule], operator_id: UUID, name: str
) -> None:
    taken = await session.scalar(
        sa.select(sa.literal(True)).where(
            col(table.operator_id) == operator_id, col(table.name) == name
        )
    )
    if taken:
        raise NameTakenError(f"the name {name} is taken", field="name")
