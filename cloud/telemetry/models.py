"""The telemetry table: one narrow row per sample, partitioned by day.

Rows name their charge point by a number of four bytes; operator and station stand once, in
`telemetry_charge_point`, and not on a billion rows.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Column, Index, Integer, SmallInteger, Table, Uuid
from sqlmodel import Field, SQLModel, UniqueConstraint

from cloud.core.columns import UtcDateTime
from shared.contracts.telemetry import COLUMNS
from shared.contracts.words import SampleKind

PARTITION_PREFIX = "telemetry_sample_"
KIND_CODES: dict[SampleKind, int] = {
    SampleKind.METER: 0,
    SampleKind.BMS_DEMAND: 1,
    SampleKind.BMS_STATUS: 2,
    SampleKind.SENSOR: 3,
}

_WIDE = {"energy_dwh", "amount_e4", "value_milli"}
_NARROW = {
    "quality_code",
    "soc_percent",
    "cable_temp_c",
    "battery_temp_max_c",
    "battery_temp_min_c",
    "battery_temp_max_no",
    "battery_temp_min_no",
    "wire_state",
    "charging_mode",
    "cell_group",
    "cell_voltage_max_cv",
    "cell_voltage_max_no",
}


def width_of(column: str) -> int:
    """Return how many bytes a value column has in the table: 2, 4 or 8."""
    return 8 if column in _WIDE else 2 if column in _NARROW else 4


_TYPES = {8: BigInteger, 4: Integer, 2: SmallInteger}
VALUE_COLUMNS: tuple[str, ...] = tuple(
    sorted(
        dict.fromkeys(name for kind in SampleKind for name in COLUMNS[kind]),
        key=lambda name: -width_of(name),
    )
)
"""Every value that any kind of sample has, widest first so that rows need no padding."""


class ChargePointKey(SQLModel, table=True):
    """The number by which samples name a charge point."""

    __tablename__ = "telemetry_charge_point"
    __table_args__ = (UniqueConstraint("operator_id", "station_id", "charge_point_no"),)

    id: int | None = Field(default=None, primary_key=True)
    operator_id: UUID
    station_id: UUID = Field(index=True)
    charge_point_no: str = Field(max_length=64)
    created_at: datetime = Field(sa_type=UtcDateTime)


SAMPLES = Table(
    "telemetry_sample",
    SQLModel.metadata,
    Column("ts_ms", BigInteger, nullable=False),
    *(Column(name, BigInteger) for name in VALUE_COLUMNS if width_of(name) == 8),
    Column("charge_point_id", Integer, nullable=False),
    *(Column(name, Integer) for name in VALUE_COLUMNS if width_of(name) == 4),
    Column("connector_no", SmallInteger, nullable=False),
    Column("kind", SmallInteger, nullable=False),
    *(Column(name, SmallInteger) for name in VALUE_COLUMNS if width_of(name) == 2),
    Column("transaction_id", Uuid),
    Index(
        "uq_telemetry_sample_key", "charge_point_id", "connector_no", "ts_ms", "kind", unique=True
    ),
    postgresql_partition_by="RANGE (ts_ms)",
)
"""`ts_ms` is the station's time. Outside ±400 days rows stand in the default partition."""
