"""What exists: operators, their stations, charge points and connectors, and who asks to join."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlmodel import Field, SQLModel, UniqueConstraint

from cloud.core.columns import UtcDateTime, text_enum
from shared.contracts.words import ConnectorStatus


class Operator(SQLModel, table=True):
    """A company that runs stations."""

    __tablename__ = "stations_operator"

    id: UUID = Field(primary_key=True)
    name: str = Field(unique=True)
    created_at: datetime = Field(sa_type=UtcDateTime)


class Station(SQLModel, table=True):
    """One station. `station_no` is its MQTT user name and unique over all operators.

    The three `…_version` that the station last reported tell what it still has to be sent.
    """

    __tablename__ = "stations_station"
    __table_args__ = (UniqueConstraint("operator_id", "station_no"),)

    id: UUID = Field(primary_key=True)
    operator_id: UUID = Field(foreign_key="stations_operator.id")
    station_no: str = Field(unique=True, max_length=32)
    name_zh: str
    name_en: str
    time_zone: str
    secret_hash: str
    registry_version: int = 1
    reported_registry_version: int = 0
    reported_access_version: int = 0
    reported_tariff_version_id: UUID | None = None
    online: bool = False
    offline_alarm_id: UUID | None = None
    last_seen_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    agent_version: str = ""
    boot_id: UUID | None = None
    created_at: datetime = Field(sa_type=UtcDateTime)


class ChargePoint(SQLModel, table=True):
    """One charge point of a station; numbers are unique within their operator's station.

    A retired one is shown nowhere and not served; what it did stands.
    """

    __tablename__ = "stations_charge_point"
    __table_args__ = (UniqueConstraint("operator_id", "station_id", "charge_point_no"),)

    id: UUID = Field(primary_key=True)
    operator_id: UUID
    station_id: UUID = Field(foreign_key="stations_station.id", index=True)
    charge_point_no: str = Field(max_length=32)
    connector_count: int = 1
    dialect: str = "ykc16"
    silence_limit_s: float = 30.0
    rated_w: int = 120_000
    rounds_to_fen: bool = False
    qr_prefix: str = ""
    online: bool = False
    last_change_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    firmware: str = ""
    address: str = ""
    is_dc: bool | None = None
    retired_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    created_at: datetime = Field(sa_type=UtcDateTime)


class Connector(SQLModel, table=True):
    """One connector and what it last said that it is doing."""

    __tablename__ = "stations_connector"
    __table_args__ = (UniqueConstraint("operator_id", "charge_point_id", "connector_no"),)

    id: UUID = Field(primary_key=True)
    operator_id: UUID
    station_id: UUID = Field(foreign_key="stations_station.id", index=True)
    charge_point_id: UUID = Field(foreign_key="stations_charge_point.id", index=True)
    charge_point_no: str
    connector_no: int
    status: ConnectorStatus = Field(
        default=ConnectorStatus.UNKNOWN, sa_type=text_enum(ConnectorStatus)
    )
    plugged_in: bool = False
    faults: int = 0
    transaction_id: UUID | None = None
    last_change_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Quarantined(SQLModel, table=True):
    """An unknown number that tried to log in at a station and waits to be adopted."""

    __tablename__ = "stations_quarantine"
    __table_args__ = (UniqueConstraint("operator_id", "station_id", "charge_point_no"),)

    id: UUID = Field(primary_key=True)
    operator_id: UUID
    station_id: UUID = Field(foreign_key="stations_station.id", index=True)
    charge_point_no: str = Field(max_length=32)
    address: str = ""
    firmware: str = ""
    first_seen_at: datetime = Field(sa_type=UtcDateTime)
    last_seen_at: datetime = Field(sa_type=UtcDateTime)
