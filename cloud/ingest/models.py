"""What came in: one row per batch ever committed, and the batches that could not be read."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlmodel import BigInteger, Field, Index, SQLModel, UniqueConstraint

from cloud.core.columns import UtcDateTime


class Stream(SQLModel, table=True):
    """One lane of one journal of one station; gives the inbox a key of 12 bytes, not of 50."""

    __tablename__ = "ingest_stream"
    __table_args__ = (UniqueConstraint("operator_id", "station_id", "epoch", "lane"),)

    id: int | None = Field(default=None, primary_key=True)
    operator_id: UUID
    station_id: UUID
    epoch: UUID
    lane: str = Field(max_length=16)


class InboxRow(SQLModel, table=True):
    """A batch that is committed. Its being here is what makes "once in effect".

    One number with two contents is of two journals that were one, and both count.
    """

    __tablename__ = "ingest_inbox"
    # For the purge; of this kind because rows are only ever added at the end.
    __table_args__ = (Index("ix_ingest_inbox_received", "received_ms", postgresql_using="brin"),)

    stream_id: int = Field(primary_key=True)
    seq: int = Field(primary_key=True, sa_type=BigInteger)
    content: int = Field(primary_key=True, sa_type=BigInteger)
    received_ms: int = Field(sa_type=BigInteger)


class Parked(SQLModel, table=True):
    """A batch that could not be handled: kept whole, with the reason, out of the way."""

    __tablename__ = "ingest_parked"
    __table_args__ = (UniqueConstraint("operator_id", "stream_id", "seq", "content"),)

    id: UUID = Field(primary_key=True)
    operator_id: UUID
    station_id: UUID = Field(index=True)
    stream_id: int
    seq: int = Field(sa_type=BigInteger)
    content: int = Field(sa_type=BigInteger)
    lane: str
    body: bytes
    error: str
    sealed_ms: int = Field(sa_type=BigInteger)
    received_at: datetime = Field(sa_type=UtcDateTime)
