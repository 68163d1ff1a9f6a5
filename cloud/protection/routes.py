"""Protection over HTTP: documents by version, bindings, PINs, instructions."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import msgspec
import orjson
from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import Field
from sqlmodel import col, select

from cloud.core.audit import note_change
from cloud.core.db import SessionDep
from cloud.core.deps import Admin, ClockDep, Dispatcher, Reader
from cloud.core.errors import BusinessError, error_responses
from cloud.core.pagination import Page, PageDep, newest_first
from cloud.protection import people, service
from cloud.protection.models import Instruction, StationProtection, Version, VersionState
from cloud.protection.rules import Binding, InvalidDocumentError, differences
from cloud.protection.schemas import (
    Active,
    BindingBody,
    BindingsBody,
    BindingsRead,
    BuiltIn,
    Difference,
    InstructionBody,
    InstructionRead,
    PinRead,
    PinsBody,
    ProtectionRead,
    VersionFull,
    VersionRead,
)
from cloud.stations import lookup
from shared.protection import BUILT_IN_INTERLOCKS, BUILT_IN_RULES

router = APIRouter(prefix="/api/v1", tags=["protection"])

VersionNo = Annotated[int, Field(ge=1, le=2**31 - 1)]
DOCUMENT_MAX = 512 * 1024


class NoPreconditionError(BusinessError):
    """If-Match is missing: it says which version was changed, so that nobody's work is lost."""

    status = 428
    code = "if_match_required"


class TooLargeError(BusinessError):
    """A document of more than 512 KiB."""

    status = 413
    code = "too_large"


def _expected(if_match: str) -> int:
    text = if_match.strip().removeprefix("W/").strip('"')
    if not text:
        raise NoPreconditionError('send If-Match: "VERSION", the one that was read; "0" for none')
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise service.VersionChangedError(f"{if_match} is no version")
    return int(text)


IfMatch = Annotated[str, Header(alias="If-Match", max_length=40, description='`"VERSION"`')]
_CONFLICTS = error_responses(
    lookup.StationNotFoundError,
    InvalidDocumentError,
    service.VersionChangedError,
    NoPreconditionError,
    TooLargeError,
)
_DOCUMENT: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"type": "object"}}},
    }
}


@router.get("/protection/built-in", operation_id="protection_built_in")
async def read_built_in(staff: Reader) -> BuiltIn:
    """Show the rules and the interlock matrix that hold where a document names none."""
    del staff
    return BuiltIn(
        rules=msgspec.to_builtins(BUILT_IN_RULES, str_keys=True),
        interlocks=msgspec.to_builtins(BUILT_IN_INTERLOCKS, str_keys=True),
    )


@router.get(
    "/stations/{station_no}/protection",
    operation_id="protection_read",
    responses=error_responses(lookup.StationNotFoundError),
)
async def read_protection(
    station_no: str, session: SessionDep, staff: Reader, response: Response
) -> ProtectionRead:
    """Show the document that is to hold at a station, and what does; `ETag` is its version."""
    station = await lookup.station_by_no(session, staff.operator_id, station_no)
    newest = await service.newest_version(
        session, operator_id=staff.operator_id, station_id=station.id
    )
    row = await service.station_row(session, operator_id=staff.operator_id, station_id=station.id)
    answer = _protection(newest, row)
    response.headers["ETag"] = f'"{answer.version}"'
    return answer


@router.put(
    "/stations/{station_no}/protection",
    operation_id="protection_publish",
    responses=_CONFLICTS,
    openapi_extra=_DOCUMENT,
)
async def publish_protection(
    station_no: str,
    request: Request,
    response: Response,
    session: SessionDep,
    staff: Admin,
    clock: ClockDep,
    if_match: IfMatch = "",
    note: Annotated[str, Query(max_length=500)] = "",
) -> VersionRead:
    """Publish a new document: it is checked whole, gets the next version, goes to the station.

    It holds there when `state` is `active`; the station may still refuse it, with the path of
    a field that only it can check (a line or profile that it has not).
    """
    station = await lookup.station_by_no(session, staff.operator_id, station_no)
    version = await service.publish(
        session,
        operator_id=staff.operator_id,
        station_id=station.id,
        document=await _document(request),
        expected=_expected(if_match),
        by=staff.name,
        now=clock.now(),
        note=note,
    )
    return _published(request, response, version)


@router.get(
    "/stations/{station_no}/protection/versions",
    operation_id="protection_versions",
    responses=error_responses(lookup.StationNotFoundError),
)
async def list_versions(station_no: str, session: SessionDep, staff: Reader) -> list[VersionRead]:
    """List a station's versions, newest first, without their documents."""
    station = await lookup.station_by_no(session, staff.operator_id, station_no)
    versions = await service.versions_of(
        session, operator_id=staff.operator_id, station_id=station.id
    )
    return [VersionRead.of(version) for version in versions]


@router.get(
    "/stations/{station_no}/protection/versions/{version}",
    operation_id="protection_version",
    responses=error_responses(service.VersionNotFoundError),
)
async def read_version(
    station_no: str, version: VersionNo, session: SessionDep, staff: Reader
) -> VersionFull:
    """Show one version with its document."""
    return VersionFull.of(await _version(session, staff.operator_id, station_no, version))


@router.get(
    "/stations/{station_no}/protection/compare",
    operation_id="protection_compare",
    responses=error_responses(service.VersionNotFoundError),
)
async def compare_versions(
    station_no: str, before: VersionNo, after: VersionNo, session: SessionDep, staff: Reader
) -> list[Difference]:
    """List what differs between two versions, by path; rules, devices … by their names."""
    old, new = [
        await _version(session, staff.operator_id, station_no, number) for number in (before, after)
    ]
    return [
        Difference(path=change.path, before=change.before, after=change.after)
        for change in differences(old.document, new.document)
    ]


@router.post(
    "/stations/{station_no}/protection/versions/{version}/publish",
    operation_id="protection_roll_back",
    responses=_CONFLICTS,
)
async def roll_back(
    station_no: str,
    version: VersionNo,
    request: Request,
    response: Response,
    session: SessionDep,
    staff: Admin,
    clock: ClockDep,
    if_match: IfMatch = "",
) -> VersionRead:
    """Publish an old version again, as a new one."""
    old = await _version(session, staff.operator_id, station_no, version)
    made = await service.publish(
        session,
        operator_id=staff.operator_id,
        station_id=old.station_id,
        document=old.document,
        expected=_expected(if_match),
        by=staff.name,
        now=clock.now(),
        rolled_back_to=version,
    )
    return _published(request, response, made)


@router.get(
    "/stations/{station_no}/bindings",
    operation_id="bindings_read",
    responses=error_responses(lookup.StationNotFoundError),
)
async def read_bindings(
    station_no: str, session: SessionDep, staff: Reader, response: Response
) -> BindingsRead:
    """Show which camera, siren and screen belong where; `ETag` is their version."""
    station = await lookup.station_by_no(session, staff.operator_id, station_no)
    row = await service.station_row(session, operator_id=staff.operator_id, station_id=station.id)
    return _bindings(response, row)


@router.put("/stations/{station_no}/bindings", operation_id="bindings_set", responses=_CONFLICTS)
async def set_bindings(
    station_no: str,
    body: BindingsBody,
    request: Request,
    response: Response,
    session: SessionDep,
    staff: Admin,
    clock: ClockDep,
    if_match: IfMatch = "",
) -> BindingsRead:
    """Replace which camera, siren and screen belong where."""
    station = await lookup.station_by_no(session, staff.operator_id, station_no)
    known = await service.station_row(session, operator_id=staff.operator_id, station_id=station.id)
    before = list(known.bindings)
    row = await service.set_bindings(
        session,
        operator_id=staff.operator_id,
        station_id=station.id,
        bindings=[Binding(each.kind, each.name, each.target) for each in body.bindings],
        expected=_expected(if_match),
        by=staff.name,
        now=clock.now(),
    )
    note_change(request, before={"bindings": before}, after={"bindings": row.bindings})
    return _bindings(response, row)


@router.get(
    "/stations/{station_no}/pins",
    operation_id="pins_list",
    responses=error_responses(lookup.StationNotFoundError),
)
async def list_pins(station_no: str, session: SessionDep, staff: Admin) -> list[PinRead]:
    """List who may act at a station's screen; never a PIN."""
    station = await lookup.station_by_no(session, staff.operator_id, station_no)
    return [PinRead.of(holder) for holder in await people.pins_of(session, station.id)]


@router.put(
    "/stations/{station_no}/pins",
    operation_id="pins_set",
    responses=error_responses(lookup.StationNotFoundError),
)
async def set_pins(
    station_no: str,
    body: PinsBody,
    request: Request,
    session: SessionDep,
    staff: Admin,
    clock: ClockDep,
) -> list[PinRead]:
    """Replace who may act at a station's screen; new PINs are in this answer and nowhere else."""
    station = await lookup.station_by_no(session, staff.operator_id, station_no)
    before = [each.name for each in await people.pins_of(session, station.id)]
    made = await people.set_pins(
        session,
        operator_id=staff.operator_id,
        station_id=station.id,
        wanted=[people.Wanted(each.name, each.role, each.renew) for each in body.pins],
        by=staff.name,
        now=clock.now(),
    )
    holders = await people.pins_of(session, station.id)
    after = [each.name for each in holders]
    note_change(request, before={"names": before}, after={"names": after, "renewed": list(made)})
    return [PinRead.of(holder, made.get(holder.name)) for holder in holders]


@router.post(
    "/stations/{station_no}/instructions",
    operation_id="instructions_create",
    status_code=201,
    responses=error_responses(lookup.StationNotFoundError),
)
async def create_instruction(
    station_no: str,
    body: InstructionBody,
    session: SessionDep,
    staff: Dispatcher,
    clock: ClockDep,
) -> InstructionRead:
    """Show people at a station what to do, on its screen."""
    station = await lookup.station_by_no(session, staff.operator_id, station_no)
    made = await people.instruct(
        session,
        operator_id=staff.operator_id,
        station_id=station.id,
        by=staff.name,
        now=clock.now(),
        **body.model_dump(),
    )
    return InstructionRead.of(made, None)


@router.get(
    "/stations/{station_no}/instructions",
    operation_id="instructions_list",
    responses=error_responses(lookup.StationNotFoundError),
)
async def list_instructions(
    station_no: str, session: SessionDep, staff: Reader, page: PageDep
) -> Page[InstructionRead]:
    """List instructions with who read them, newest first."""
    station = await lookup.station_by_no(session, staff.operator_id, station_no)
    rows, cursor = await newest_first(
        session,
        select(Instruction).where(Instruction.station_id == station.id),
        page,
        id_column=col(Instruction.id),
    )
    commands = await people.commands_of(session, rows)
    items = [InstructionRead.of(row, commands.get(row.id)) for row in rows]
    return Page(items=items, next_cursor=cursor)


async def _document(request: Request) -> Any:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > DOCUMENT_MAX:
            raise TooLargeError(f"at most {DOCUMENT_MAX} bytes")
    try:
        return orjson.loads(bytes(body))
    except orjson.JSONDecodeError as error:
        raise InvalidDocumentError("document", f"no JSON: {error}") from error


async def _version(session: SessionDep, operator_id: UUID, station_no: str, number: int) -> Version:
    station = await lookup.station_by_no(session, operator_id, station_no)
    return await service.version_by_number(
        session, operator_id=operator_id, station_id=station.id, version=number
    )


def _published(request: Request, response: Response, version: Version) -> VersionRead:
    response.headers["ETag"] = f'"{version.version}"'
    note_change(
        request,
        before={"version": version.version - 1},
        after={"version": version.version, "sha256": version.sha256},
    )
    return VersionRead.of(version)


def _protection(newest: Version | None, row: StationProtection) -> ProtectionRead:
    active = Active(version=row.active_version, sha256=row.active_sha256, at=row.activated_at)
    if newest is None:
        return ProtectionRead(
            version=0, state=None, refusal="", document={}, active=active, in_force=False
        )
    return ProtectionRead(
        version=newest.version,
        state=newest.state,
        refusal=newest.refusal,
        document=newest.document,
        active=active,
        in_force=newest.state is VersionState.ACTIVE and row.active_sha256 == newest.sha256,
    )


def _bindings(response: Response, row: StationProtection) -> BindingsRead:
    response.headers["ETag"] = f'"{row.bindings_version}"'
    return BindingsRead(
        bindings=[BindingBody(**binding) for binding in row.bindings],
        version=row.bindings_version,
        changed_at=row.bindings_at,
        changed_by=row.bindings_by,
    )
