"""Lists as CSV for spreadsheets, part by part: any number of rows in little memory.

Each part is a short read of its own by the key after the last: however slowly somebody reads, no
transaction stays open and no connection is held meanwhile.
"""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from fastapi.responses import StreamingResponse
from sqlmodel.sql.expression import SelectOfScalar

from cloud.core.db import Sessions

T = TypeVar("T")

MARK = b"\xef\xbb\xbf"
"""At the beginning of a file, so that spreadsheets read it as UTF-8."""
MEDIA_TYPE = "text/csv; charset=utf-8"
FORMULA = ("=", "+", "-", "@", "\t", "\r")
PART = 500


async def parts_of(
    sessions: Sessions, statement: SelectOfScalar[T], id_column: Any
) -> AsyncIterator[Sequence[T]]:
    """Yield what a statement selects in parts, newest first.

    Args:
        sessions: Opens a session a part.
        statement: What to list, without order and limit.
        id_column: The UUIDv7 column that orders it, e.g. `col(Order.id)`.
    """
    newest = statement.order_by(id_column.desc()).limit(PART)
    wanted = newest
    while True:
        async with sessions() as session:
            part = (await session.scalars(wanted)).all()
        if part:
            yield part
        if len(part) < PART:
            return
        wanted = newest.where(id_column < getattr(part[-1], id_column.key))


def csv_line(cells: Iterable[object]) -> bytes:
    """Return a line; what a spreadsheet would take for a formula is quoted, None is empty."""
    out = io.StringIO()
    texts = ("" if cell is None else str(cell) for cell in cells)
    csv.writer(out).writerow([f"'{t}" if t.startswith(FORMULA) else t for t in texts])
    return out.getvalue().encode()


def csv_time(at: datetime | None, zone: ZoneInfo) -> str:
    """Return an instant as ISO 8601 on a station's clock, "" for none."""
    return "" if at is None else at.astimezone(zone).isoformat(timespec="seconds")


def csv_answer(lines: AsyncIterator[bytes], filename: str) -> StreamingResponse:
    """Return lines as a file to save."""
    return StreamingResponse(
        lines,
        media_type=MEDIA_TYPE,
        headers={"Content-Disposition": f'attachment; filename="{filename}"'},
    )
