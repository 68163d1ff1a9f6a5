"""Who changed what: one row per state-changing call, in the same transaction as the change."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field, SQLModel

from cloud.core.columns import Json, UtcDateTime
from cloud.core.security import Staff
from shared.clock import Clock, to_ms
from shared.ids import uuid7

_VALUE_MAX = 2_000
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class AuditEntry(SQLModel, table=True):
    """One call that changed something. Rows are only ever added."""

    __tablename__ = "core_audit"

    id: UUID = Field(primary_key=True)
    operator_id: UUID = Field(index=True)
    staff_id: UUID
    staff_name: str
    role: str
    method: str
    path: str
    action: str
    address: str
    request_id: str
    details: dict[str, str] = Field(default_factory=dict, sa_type=Json)
    at: datetime = Field(sa_type=UtcDateTime)


def record_call(session: AsyncSession, request: Request) -> None:
    """Add the audit row of a call that changes state; nothing for reads.

    A call without staff (log-in) writes its own row where it knows who it is.
    """
    staff: Staff | None = getattr(request.state, "staff", None)
    if request.method in _READING or staff is None:
        return
    add_entry(session, request, staff, **getattr(request.state, "audit_details", {}))


def note_change(
    request: Request,
    *,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
) -> None:
    """Have the audit row of this call say what was changed: `before.NAME`, `after.NAME`.

    No secrets: whoever may read the audit reads this.
    """
    details: dict[str, str] = getattr(request.state, "audit_details", {})
    for side, values in (("before", before), ("after", after)):
        for name, value in (values or {}).items():
            details[f"{side}.{name}"] = str(value)[:_VALUE_MAX]
    request.state.audit_details = details


def add_entry(session: AsyncSession, request: Request, staff: Staff, **details: str) -> None:
    """Add an audit row for what `staff` does with this request."""
    clock: Clock = request.app.state.clock
    now = clock.now()
    route = request.scope.get("route")
    session.add(
        AuditEntry(
            id=uuid7(to_ms(now)),
            operator_id=staff.operator_id,
            staff_id=staff.staff_id,
            staff_name=staff.name,
            role=staff.role,
            method=request.method,
            path=request.url.path,
            action=getattr(route, "name", ""),
            address=request.client.host if request.client else "",
            request_id=getattr(request.state, "request_id", ""),
            details=details,
            at=now,
        )
    )
