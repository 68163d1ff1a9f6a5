"""Forms for who is told: making, changing and removing channels and chains."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from cloud.alarms.notify import forms, service
from cloud.alarms.notify.addresses import ForbiddenAddressError
from cloud.alarms.notify.forms import Wrong
from cloud.alarms.notify.models import Channel, ChannelKind, Rule
from cloud.alarms.notify.routes import refuse_unreachable, values_of
from cloud.alarms.notify.schemas import ChannelCreate, RuleBody, RuleRead
from cloud.alarms.trip_list import title_of
from cloud.core.audit import note_change
from cloud.core.db import SessionDep
from cloud.core.deps import Admin, ClockDep
from cloud.stations import lookup
from cloud.web.pages import Pages
from cloud.web.texts import texts_for
from shared.contracts.alarm_codes import CATALOGUE
from shared.contracts.words import Severity

if TYPE_CHECKING:
    from cloud.core.security import Staff

router = APIRouter(prefix="/notices", include_in_schema=False)
_pages = Pages("cloud.alarms")
_HOME = "/notices"
_REFUSED = (
    service.NameTakenError,
    service.InvalidChannelError,
    service.InvalidRuleError,
    ForbiddenAddressError,
    lookup.StationNotFoundError,
)


async def _form(request: Request) -> FormData:
    return await request.form(max_files=0)


FormDep = Annotated[FormData, Depends(_form)]


@router.get("/channels/new")
async def new_channel_page(request: Request, _staff: Admin) -> Response:
    """Show the form of a channel."""
    return _channel_page(request, None, forms.empty_channel())


@router.post("/channels/new")
async def create_channel_with_form(
    request: Request, staff: Admin, session: SessionDep, clock: ClockDep, form: FormDep
) -> Response:
    """Make a channel; a webhook's secret is on this page and nowhere else."""
    values = forms.typed_channel(form)
    body = forms.read_channel(values)
    if isinstance(body, Wrong):
        return _channel_page(request, None, values, wrong=body)
    try:
        await refuse_unreachable(request, body.kind, body.target)
        channel = await service.create_channel(
            session,
            operator_id=staff.operator_id,
            by=staff.name,
            now=clock.now(),
            **body.model_dump(),
        )
    except _REFUSED as error:
        return _channel_page(request, None, values, wrong=forms.refused(error))
    note_change(request, after=body.model_dump(mode="json"))
    if not channel.secret:
        return _home()
    return _channel_page(request, channel, values, secret=channel.secret)


@router.get("/channels/{channel_id}")
async def channel_page(
    request: Request, channel_id: UUID, staff: Admin, session: SessionDep
) -> Response:
    """Show a channel as a form; never its secret."""
    channel = await service.channel_by_id(session, staff.operator_id, channel_id)
    return _channel_page(request, channel, forms.channel_fields(channel))


@router.post("/channels/{channel_id}")
async def change_channel_with_form(
    request: Request, channel_id: UUID, staff: Admin, session: SessionDep, form: FormDep
) -> Response:
    """Change a channel's name, target or language, and go back; its kind stays."""
    channel = await service.channel_by_id(session, staff.operator_id, channel_id)
    before = forms.channel_fields(channel)
    values = forms.typed_channel(form) | {"kind": channel.kind.value}
    body = forms.read_channel(values)
    if isinstance(body, Wrong):
        return _channel_page(request, channel, values, wrong=body)
    try:
        await _change(request, session, channel, body)
    except _REFUSED as error:
        return _channel_page(request, channel, values, wrong=forms.refused(error))
    note_change(request, before=before, after=forms.channel_fields(channel))
    return _home()


@router.post("/channels/{channel_id}/remove")
async def remove_channel_with_form(
    request: Request, channel_id: UUID, staff: Admin, session: SessionDep
) -> Response:
    """Remove a channel with its notices, and go back; one that a chain uses stays."""
    channel = await service.channel_by_id(session, staff.operator_id, channel_id)
    fields = forms.channel_fields(channel)
    try:
        await service.delete_channel(session, channel)
    except service.ChannelInUseError as error:
        return _channel_page(request, channel, fields, used_by=str(error.context["rule"]))
    note_change(request, before=fields)
    return _home()


@router.get("/rules/new")
async def new_rule_page(request: Request, staff: Admin, session: SessionDep) -> Response:
    """Show the form of a chain."""
    return await _rule_page(request, session, staff, None, forms.empty_rule())


@router.post("/rules/new")
async def create_rule_with_form(
    request: Request, staff: Admin, session: SessionDep, clock: ClockDep, form: FormDep
) -> Response:
    """Make a chain, and go back. It counts for alarms that HQ hears of from now on."""
    return await _save_rule(request, session, staff, clock, None, form)


@router.get("/rules/{rule_id}")
async def rule_page(request: Request, rule_id: UUID, staff: Admin, session: SessionDep) -> Response:
    """Show a chain as a form."""
    rule = await service.rule_by_id(session, staff.operator_id, rule_id)
    return await _rule_page(request, session, staff, rule, await _rule_fields(session, rule))


@router.post("/rules/{rule_id}")
async def change_rule_with_form(
    request: Request,
    rule_id: UUID,
    staff: Admin,
    session: SessionDep,
    clock: ClockDep,
    form: FormDep,
) -> Response:
    """Replace what a chain says, and go back."""
    rule = await service.rule_by_id(session, staff.operator_id, rule_id)
    return await _save_rule(request, session, staff, clock, rule, form)


@router.post("/rules/{rule_id}/remove")
async def remove_rule_with_form(
    request: Request, rule_id: UUID, staff: Admin, session: SessionDep
) -> Response:
    """Remove a chain, and go back; what it has written is still sent."""
    rule = await service.rule_by_id(session, staff.operator_id, rule_id)
    note_change(request, before={"name": rule.name, "chain": rule.chain})
    await session.delete(rule)
    return _home()


async def _change(
    request: Request, session: AsyncSession, channel: Channel, body: ChannelCreate
) -> None:
    if body.target != channel.target:
        await refuse_unreachable(request, channel.kind, body.target)
    await service.change_channel(session, channel, body.model_dump(exclude={"kind"}))


async def _save_rule(
    request: Request,
    session: AsyncSession,
    staff: Staff,
    clock: ClockDep,
    rule: Rule | None,
    form: FormData,
) -> Response:
    typed = forms.typed_rule(form)
    body = forms.read_rule(typed)
    if isinstance(body, Wrong):
        return await _rule_page(request, session, staff, rule, typed, wrong=body)
    before = await _rule_fields(session, rule) if rule is not None else None
    try:
        await service.save_rule(
            session,
            operator_id=staff.operator_id,
            values=await values_of(session, staff.operator_id, body),
            by=staff.name,
            now=clock.now(),
            rule=rule,
        )
    except _REFUSED as error:
        return await _rule_page(request, session, staff, rule, typed, wrong=forms.refused(error))
    note_change(request, before=before, after=body.model_dump(mode="json"))
    return _home()


async def _rule_fields(session: AsyncSession, rule: Rule) -> dict[str, Any]:
    stations = await lookup.stations_of(session, rule.operator_id)
    numbers = {str(station.id): station.station_no for station in stations}
    return RuleRead.of(rule, numbers).model_dump(mode="json", include=set(RuleBody.model_fields))


def _home() -> RedirectResponse:
    return RedirectResponse(_HOME, HTTPStatus.SEE_OTHER)


def _channel_page(
    request: Request,
    channel: Channel | None,
    values: dict[str, Any],
    *,
    wrong: Wrong | None = None,
    secret: str = "",
    used_by: str = "",
) -> Response:
    wrong = wrong or Wrong()
    return _pages.render(
        request,
        "alarms/channel.html",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if wrong.key else HTTPStatus.OK,
        channel=channel,
        values=values,
        kinds=list(ChannelKind),
        wrong=wrong,
        secret=secret,
        used_by=used_by,
    )


async def _rule_page(
    request: Request,
    session: AsyncSession,
    staff: Staff,
    rule: Rule | None,
    values: dict[str, Any],
    *,
    wrong: Wrong | None = None,
) -> Response:
    wrong = wrong or Wrong()
    chinese = texts_for(request).chinese
    codes = dict.fromkeys([*CATALOGUE, *values["codes"]])
    return _pages.render(
        request,
        "alarms/rule.html",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if wrong.key else HTTPStatus.OK,
        rule=rule,
        values=values,
        steps=forms.steps_shown(values["chain"]),
        channels=await service.channels_of(session, staff.operator_id),
        stations=await lookup.stations_of(session, staff.operator_id),
        severities=list(Severity),
        titles={code: title_of(code, chinese=chinese) for code in codes},
        wrong=wrong,
    )
