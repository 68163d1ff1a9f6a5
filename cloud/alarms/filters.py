"""The filter of alarm lists as parameters of a call, the same for JSON, groups, CSV and pages."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query
from pydantic import AwareDatetime

from cloud.alarms.queries import Filter, View
from cloud.core.db import SessionDep
from cloud.core.deps import Reader
from cloud.stations import lookup
from shared.contracts.words import Severity


async def _filter(
    session: SessionDep,
    staff: Reader,
    *,
    station: Annotated[str, Query(max_length=32, description="a station's number")] = "",
    view: Annotated[View | None, Query(description="default: open")] = None,
    open_only: Annotated[bool, Query(description="false is `view=all`", deprecated=True)] = True,
    severity: Annotated[list[Severity] | None, Query(description="one or more")] = None,
    code: Annotated[str, Query(max_length=64)] = "",
    drill: bool | None = None,
    since: Annotated[AwareDatetime | None, Query(description="raised at or after")] = None,
    until: Annotated[AwareDatetime | None, Query(description="raised before")] = None,
) -> Filter:
    station_id = None
    if station:
        station_id = (await lookup.station_by_no(session, staff.operator_id, station)).id
    return Filter(
        view=view or (View.OPEN if open_only else View.ALL),
        severities=tuple(severity or ()),
        station_id=station_id,
        code=code,
        drill=drill,
        since=since,
        until=until,
    )


FilterDep = Annotated[Filter, Depends(_filter, scope="function")]
