"""Tokens over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from cloud.access import service, transfer
from cloud.access.csv_file import BYTES_MAX, InvalidFileError, read_tokens
from cloud.access.models import AccessToken
from cloud.access.schemas import ImportDone, TokenChange, TokenCreate, TokenRead
from cloud.core.audit import note_change
from cloud.core.csv_export import csv_answer
from cloud.core.db import SessionDep, Sessions
from cloud.core.deps import Admin, ClockDep, Reader
from cloud.core.errors import error_responses
from cloud.core.idempotency import IdempotencyDep
from cloud.core.pagination import Page, PageDep, newest_first
from cloud.stations import lookup
from shared.contracts.words import TokenKind

router = APIRouter(prefix="/api/v1/tokens", tags=["access"])

_EXAMPLE = (
    "kind,value,frozen,limit_fen,expires_at,holder,logical_card_no,password_md5,station_nos\n"
    "card,D14B0A54F1C2E3A4,false,50000,2027-12-31T16:00:00Z,张三,5500000012345678,,1001 1002\n"
)


@router.get("", operation_id="tokens_list")
async def list_tokens(
    session: SessionDep,
    staff: Reader,
    page: PageDep,
    kind: TokenKind | None = None,
    value: str = "",
) -> Page[TokenRead]:
    """List tokens, newest first."""
    statement = select(AccessToken).where(AccessToken.operator_id == staff.operator_id)
    if kind is not None:
        statement = statement.where(AccessToken.kind == kind)
    if value:
        statement = statement.where(service.has_value(value))
    rows, cursor = await newest_first(session, statement, page, id_column=col(AccessToken.id))
    return Page(items=await _read_all(session, staff.operator_id, rows), next_cursor=cursor)


@router.post(
    "",
    status_code=201,
    operation_id="tokens_create",
    responses=error_responses(service.InvalidTokenError, service.TokenExistsError),
)
async def create_token(
    body: TokenCreate,
    request: Request,
    session: SessionDep,
    staff: Admin,
    clock: ClockDep,
    idempotency: IdempotencyDep,
) -> TokenRead:
    """Make a token; the stations where it holds are sent their new list."""
    now = clock.now()

    async def create() -> TokenRead:
        token = await service.create_token(
            session,
            operator_id=staff.operator_id,
            station_ids=await _station_ids(session, staff.operator_id, body.station_nos),
            now=now,
            **body.model_dump(exclude={"station_nos"}),
        )
        note_change(request, after=body.model_dump(exclude={"password_md5"}, exclude_defaults=True))
        return await _read(session, token)

    return await idempotency.once(session, staff, TokenRead, create, now=now)


@router.get("/export", operation_id="tokens_export", response_class=StreamingResponse)
async def export_tokens(request: Request, staff: Admin) -> StreamingResponse:
    """Return all tokens as CSV, for spreadsheets and for `import`; passwords are left out."""
    sessions: Sessions = request.app.state.sessions
    return csv_answer(transfer.token_lines(sessions, staff.operator_id), "tokens.csv")


@router.post(
    "/import",
    operation_id="tokens_import",
    responses=error_responses(InvalidFileError),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"text/csv": {"example": _EXAMPLE, "schema": {"type": "string"}}},
        }
    },
)
async def import_tokens(
    request: Request, session: SessionDep, staff: Admin, clock: ClockDep
) -> ImportDone:
    """Make and change tokens from CSV, all or none; stations get one new list.

    An empty cell leaves an existing token's value as it is. What is wrong is answered by line and
    column. Sent again it changes nothing more.
    """
    rows = read_tokens(await _read_limited(request))
    made, changed = await transfer.import_tokens(
        session, operator_id=staff.operator_id, rows=rows, now=clock.now()
    )
    note_change(request, after={"created": made, "changed": changed})
    return ImportDone(created=made, changed=changed)


@router.patch(
    "/{token_id}",
    operation_id="tokens_change",
    responses=error_responses(service.TokenNotFoundError),
)
async def change_token(
    token_id: UUID,
    body: TokenChange,
    request: Request,
    session: SessionDep,
    staff: Admin,
    clock: ClockDep,
) -> TokenRead:
    """Freeze, limit or move a token."""
    was = await service.token_by_id(session, operator_id=staff.operator_id, token_id=token_id)
    before = await _read(session, was)
    station_ids = None
    if body.station_nos is not None:
        station_ids = await _station_ids(session, staff.operator_id, body.station_nos)
    changes = body.model_dump(exclude={"station_nos"}, exclude_unset=True)
    # Only the expiry may be taken away; an explicit null elsewhere means "leave it".
    changes = {k: v for k, v in changes.items() if v is not None or k == "expires_at"}
    token = await service.change_token(
        session,
        operator_id=staff.operator_id,
        token_id=token_id,
        station_ids=station_ids,
        now=clock.now(),
        **changes,
    )
    after = await _read(session, token)
    _note_token(request, before, after, is_new_password="password_md5" in changes)
    return after


def _note_token(
    request: Request, before: TokenRead, after: TokenRead, *, is_new_password: bool
) -> None:
    old, new = before.model_dump(), after.model_dump()
    changed = {name for name in new if new[name] != old[name]}
    if is_new_password:
        changed.add("has_password")
    note_change(
        request,
        before={"value": old["value"]} | {name: old[name] for name in changed},
        after={name: new[name] for name in changed},
    )


async def _read_limited(request: Request) -> bytes:
    """Return the body, as far as a file may go; the reader refuses one byte more."""
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > BYTES_MAX:
            break
    return bytes(data)


async def _read(session: AsyncSession, token: AccessToken) -> TokenRead:
    [read] = await _read_all(session, token.operator_id, [token])
    return read


async def _read_all(
    session: AsyncSession, operator_id: UUID, tokens: Sequence[AccessToken]
) -> list[TokenRead]:
    scopes = await service.scopes_of(session, [token.id for token in tokens])
    exposures = await service.exposures_of(
        session, operator_id=operator_id, values=[token.value for token in tokens]
    )
    return [
        TokenRead.of(
            token, scopes.get(token.id, set()), exposures.get((token.kind, token.value), 0)
        )
        for token in tokens
    ]


async def _station_ids(
    session: AsyncSession, operator_id: UUID, station_nos: list[str]
) -> list[UUID]:
    return [(await lookup.station_by_no(session, operator_id, no)).id for no in station_nos]
