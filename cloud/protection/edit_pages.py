"""Writing a station's next version: the limits of its rules as a form, or the whole as JSON."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Request
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import RedirectResponse, Response

from cloud.core.audit import note_change
from cloud.core.db import SessionDep
from cloud.core.deps import Admin, ClockDep
from cloud.protection import service
from cloud.protection.editing import WrongNumberError, plain, rule_forms, with_typed
from cloud.protection.models import Version
from cloud.protection.pages import STREAM, station_context
from cloud.protection.reasons import reason_of
from cloud.protection.routes import DOCUMENT_MAX
from cloud.protection.rules import Change, InvalidDocumentError, differences
from cloud.protection.standing import as_written, name_path
from cloud.stations import lookup
from cloud.web.pages import Pages
from cloud.web.texts import Texts, texts_for
from shared.contracts.words import Severity

if TYPE_CHECKING:
    from cloud.core.security import Staff
    from cloud.stations.models import Station
    from shared.protection.words import Language

router = APIRouter(include_in_schema=False)
_pages = Pages("cloud.protection")
NOTE_MAX = 500


class Draft(Struct, frozen=True, kw_only=True):
    """What was typed: into the fields of rules, or as the whole document."""

    expected: int
    note: str
    publish: bool
    built_in: bool
    whole: str | None
    typed: dict[str, str]


class Judged(Struct, frozen=True, kw_only=True):
    """What the server says of a draft: the wrong field and why, or what it would change."""

    path: str = ""
    named: str = ""
    """The path with names for numbers."""
    why: str = ""
    changes: list[Change] | None = None


async def _draft(request: Request) -> Draft:
    form = await request.form(max_files=0)
    values = {name: value for name, value in form.items() if isinstance(value, str)}
    expected = values.get("expected", "")
    whole = values.get("document")
    return Draft(
        expected=int(expected) if expected.isascii() and expected.isdigit() else -1,
        note=values.get("note", "")[:NOTE_MAX],
        publish=values.get("act") == "publish",
        built_in="built_in" in values,
        whole=whole,
        typed={name: value for name, value in values.items() if name.startswith("rules[")},
    )


@router.get("/protection/{station_no}/edit")
async def edit_page(
    request: Request, station_no: str, staff: Admin, session: SessionDep
) -> Response:
    """Show the newest version as a form."""
    station = await lookup.station_by_no(session, staff.operator_id, station_no)
    newest = await _newest(session, station)
    return _page(request, staff, station, newest)


@router.post("/protection/{station_no}/edit")
async def edit_with_form(
    request: Request,
    station_no: str,
    staff: Admin,
    session: SessionDep,
    clock: ClockDep,
    draft: Annotated[Draft, Depends(_draft)],
) -> Response:
    """Check what was typed, and publish it if that is wanted; what is wrong is said at its field.

    Nothing is published over what somebody else published in between.
    """
    station = await lookup.station_by_no(session, staff.operator_id, station_no)
    newest = await _newest(session, station)
    number = newest.version if newest is not None else 0
    if draft.expected != number:
        raise service.VersionChangedError(f"the newest version is {number}", version=number)
    try:
        document = _document(draft, newest)
        checked = service.read(document)
    except WrongNumberError as error:
        judged = Judged(path=error.path, named=error.path, why=texts_for(request)("edit.number"))
        return _page(request, staff, station, newest, draft, judged)
    except InvalidDocumentError as error:
        judged = _wrong(error, draft, newest, texts_for(request))
        return _page(request, staff, station, newest, draft, judged)
    if not draft.publish:
        before = newest.document if newest is not None else {}
        judged = Judged(changes=list(differences(before, plain(checked))))
        return _page(request, staff, station, newest, draft, judged)
    made = await service.publish(
        session,
        operator_id=staff.operator_id,
        station_id=station.id,
        document=document,
        expected=draft.expected,
        by=staff.name,
        now=clock.now(),
        note=draft.note,
    )
    note_change(
        request,
        before={"version": number},
        after={"version": made.version, "sha256": made.sha256},
    )
    return RedirectResponse(f"/protection/{station.station_no}", HTTPStatus.SEE_OTHER)


async def _newest(session: AsyncSession, station: Station) -> Version | None:
    return await service.newest_version(
        session, operator_id=station.operator_id, station_id=station.id
    )


def _document(draft: Draft, newest: Version | None) -> Any:
    """Return a draft as plain data. Raises InvalidDocumentError and WrongNumberError."""
    if draft.whole is None:
        document = with_typed(as_written(newest), draft.typed)
        if draft.built_in:
            document.pop("rules", None)
        return document
    if len(draft.whole.encode()) > DOCUMENT_MAX:
        raise InvalidDocumentError("document", f"more than {DOCUMENT_MAX} bytes")
    try:
        return orjson.loads(draft.whole)
    except orjson.JSONDecodeError as error:
        raise InvalidDocumentError("document", f"no JSON: {error}") from error


def _wrong(
    error: InvalidDocumentError, draft: Draft, newest: Version | None, texts: Texts
) -> Judged:
    path, why = error.path, reason_of(error.why).words(texts)
    known = newest.document if draft.whole is None and newest is not None else {}
    return Judged(path=path, named=name_path(known, path), why=why)


def _page(
    request: Request,
    staff: Staff,
    station: Station,
    newest: Version | None,
    draft: Draft | None = None,
    judged: Judged | None = None,
) -> Response:
    language: Language = "zh" if texts_for(request).chinese else "en"
    protection = as_written(newest)
    typed = draft.typed if draft is not None and draft.whole is None else None
    whole = draft.whole if draft is not None else None
    if whole is None:
        document = newest.document if newest is not None else {}
        whole = orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()
    judged = judged or Judged()
    forms = rule_forms(protection, language, typed)
    paths = {field.path for form in forms for field in form.fields}
    return _pages.render(
        request,
        "protection/edit.html",
        newest=newest,
        number=newest.version if newest is not None else 0,
        own_rules=protection.rules is not None,
        forms=forms,
        severities=list(Severity),
        whole=whole,
        of_whole=draft is not None and draft.whole is not None,
        note=draft.note if draft is not None else "",
        judged=judged,
        at_field=judged.path in paths and typed is not None,
        stream=STREAM,
        **station_context(staff, station),
    )
