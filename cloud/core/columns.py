"""Column types that every table uses, and the names that constraints get."""

from __future__ import annotations

from datetime import MAXYEAR, MINYEAR, UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Enum, TypeDecorator
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import SQLModel

# Without it PostgreSQL names constraints itself, and a migration cannot drop them by name.
SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

Fen = BigInteger
"""Money in 0.01 yuan: `amount_fen: int = Field(sa_type=Fen)`."""
Nano = BigInteger
"""Money in 1e-9 yuan."""
Dwh = BigInteger
"""Energy in 0.1 Wh."""
Json = JSONB
"""Anything that is read whole and never joined on."""


def text_enum(members: type[StrEnum]) -> Enum:
    """Return a column type that stores a StrEnum as its value, in a text column.

    Left alone, SQLModel stores the member's *name* in a PostgreSQL enum type: SQL that compares
    with the value is then wrong, and a new member needs DDL.
    """
    return Enum(
        members,
        native_enum=False,
        create_constraint=False,
        values_callable=lambda enum: [member.value for member in enum],
        length=40,
    )


class UtcDateTime(TypeDecorator[datetime]):
    """An instant: aware in, aware and UTC out.

    Refused before it is stored: a naive time, and one in the first or last year of the calendar,
    which some zones cannot show: a list would end at it.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse what no list can show. Raises ValueError."""
        del dialect
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"naive time {value.isoformat()}")
        if not MINYEAR < value.year < MAXYEAR:
            raise ValueError(f"time at the end of the calendar {value.isoformat()}")
        return value

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """Return the instant in UTC."""
        del dialect
        return None if value is None else value.astimezone(UTC)
