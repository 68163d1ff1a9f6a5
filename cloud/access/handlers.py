"""Facts about access: questions of stations, and stations whose list is old."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from cloud.access import lists, service
from cloud.core.commands import enqueue_command
from cloud.ingest.handlers import Handlers, Ingested
from shared.contracts.commands import AnswerAuthorization
from shared.contracts.events import AuthorizationAsked, StationStateReported

ANSWER_LIFE = timedelta(seconds=10)
"""The station waits three seconds; what comes after that has no reader."""


async def on_authorization_asked(
    session: AsyncSession, context: Ingested, event: AuthorizationAsked
) -> None:
    """Answer a station that does not know a token."""
    connector = (event.charge_point_no, event.connector_no)
    await service.release(session, station_id=context.station_id, connector=connector)
    decision, token = await service.authorize(
        session,
        operator_id=context.operator_id,
        station_id=context.station_id,
        token=event.token,
        now=context.received_at,
    )
    if decision.accepted and decision.limit_fen:
        await service.reserve(
            session,
            operator_id=context.operator_id,
            station_id=context.station_id,
            connector=connector,
            token=event.token,
            amount_fen=decision.limit_fen,
            now=context.received_at,
        )
    await enqueue_command(
        session,
        context.station_id,
        AnswerAuthorization(
            request_id=event.request_id,
            accepted=decision.accepted,
            reason=decision.reason,
            limit_fen=decision.limit_fen,
            logical_card_no="" if token is None else token.logical_card_no,
        ),
        expires_at=context.received_at + ANSWER_LIFE,
        now=context.received_at,
    )


async def on_state_reported(
    session: AsyncSession, context: Ingested, event: StationStateReported
) -> None:
    """Send the current list to a station that has an older one."""
    version = await lists.list_version(session, context.station_id)
    if event.access_version < version:
        await lists.send_list(
            session,
            operator_id=context.operator_id,
            station_id=context.station_id,
            version=version,
            now=context.received_at,
        )


HANDLERS: Handlers = {
    AuthorizationAsked: on_authorization_asked,
    StationStateReported: on_state_reported,
}
