"""What the slices' tests play in: a station, its tariff, and the facts of one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from cloud.access import handlers as access_handlers
from cloud.access import service as access
from cloud.alarms import handlers as alarms_handlers
from cloud.core.commands import CommandRow
from cloud.core.security import Role, Staff
from cloud.ingest.events import dispatch
from cloud.ingest.handlers import Ingested, merge
from cloud.orders import handlers as orders_handlers
from cloud.orders.models import Order
from cloud.protection import handlers as protection_handlers
from cloud.remote import handlers as remote_handlers
from cloud.stations import handlers as stations_handlers
from cloud.stations import service as stations
from cloud.stations.models import Station
from cloud.tariffs import handlers as tariffs_handlers
from cloud.tariffs import service as tariffs
from cloud.tariffs.models import Version
from shared.clock import to_ms
from shared.contracts.commands import ChargePointConfig
from shared.contracts.events import (
    Event,
    PeriodTotals,
    Record,
    Token,
    TransactionAuthorized,
    TransactionEnded,
    TransactionStarted,
)
from shared.contracts.words import EndKind, StartMeans, TokenKind
from shared.rating import Reading, rate_readings
from shared.tariff import Period, PeriodPrice, Tariff

SHANGHAI = ZoneInfo("Asia/Shanghai")
TARIFF = Tariff(
    "VVVVVVVVVVVVVVFFPPPPPPFFFFFFPPFFFFFFSSSSPPPPFFVV",
    {
        Period.SHARP: PeriodPrice(123456, 45000),
        Period.PEAK: PeriodPrice(102345, 45000),
        Period.FLAT: PeriodPrice(65432, 40000),
        Period.VALLEY: PeriodPrice(32109, 35000),
    },
)
START = datetime(2026, 11, 21, 22, 40, tzinfo=UTC)  # 06:40 in Shanghai
END = datetime(2026, 11, 22, 0, 10, tzinfo=UTC)
METERS = ((0, 10_000_000), (20, 10_201_234), (50, 10_500_001), (80, 10_799_999), (90, 10_900_000))
READINGS = tuple(
    Reading(to_ms(START + timedelta(minutes=minute)), meter) for minute, meter in METERS
)
CHARGE_POINT_NO = "55031412782305"
CARD = Token(TokenKind.CARD, "D14B0A54F1C2E3A4")
HANDLERS = merge(
    stations_handlers.HANDLERS,
    tariffs_handlers.HANDLERS,
    access_handlers.HANDLERS,
    protection_handlers.HANDLERS,
    orders_handlers.HANDLERS,
    remote_handlers.HANDLERS,
    alarms_handlers.HANDLERS,
)


@dataclass
class World:
    """One station, and the way in which facts reach HQ."""

    session: AsyncSession
    station: Station
    version: Version
    staff: Staff
    now: datetime = END
    names: dict[str, Any] = field(default_factory=dict)

    def context(self) -> Ingested:
        return Ingested(
            operator_id=self.station.operator_id,
            station_id=self.station.id,
            station_no=self.station.station_no,
            zone=SHANGHAI,
            received_at=self.now,
        )

    async def deliver(self, *events: Event) -> None:
        """Hand facts to every handler, as ingest does."""
        for event in events:
            await dispatch(HANDLERS, self.session, self.context(), event)
        await self.session.flush()

    async def orders(self) -> Sequence[Order]:
        return (await self.session.scalars(select(Order).order_by(col(Order.id)))).all()

    async def only_order(self) -> Order:
        [order] = await self.orders()
        return order

    async def commands(self, kind: str) -> Sequence[CommandRow]:
        statement = select(CommandRow).where(CommandRow.kind == kind)
        return (await self.session.scalars(statement.order_by(col(CommandRow.id)))).all()

    def authorized(self, **changes: Any) -> TransactionAuthorized:
        fields = self.names | {
            "occurred_at": START - timedelta(seconds=9),
            "means": StartMeans.CARD,
            "token": CARD,
            "tariff_version_id": self.version.id,
            "limit_fen": 20_000,
            "raw_frames": (b"\x68\x31",),
        }
        return TransactionAuthorized(**(fields | changes))

    def started(self, **changes: Any) -> TransactionStarted:
        fields = self.names | {"occurred_at": START, "meter_start_dwh": 10_000_000}
        return TransactionStarted(**(fields | changes))

    def record(self, **changes: Any) -> Record:
        energies = changes.pop("energies", (0, 100_001, 598_765, 201_234))
        fields: dict[str, Any] = {
            "transaction_no": self.names["transaction_no"],
            "charge_point_no": CHARGE_POINT_NO,
            "connector_no": 1,
            "started_at": START,
            "ended_at": END,
            "periods": tuple(PeriodTotals(0, energy, 0, 0) for energy in energies),
            "meter_start_dwh": 10_000_000,
            "meter_end_dwh": 10_900_000,
            "energy_dwh": 900_000,
            "loss_energy_dwh": 0,
            "amount_e4": 913_683,
        }
        return Record(**(fields | changes))

    def ended(self, **changes: Any) -> TransactionEnded:
        fields = self.names | {
            "occurred_at": END,
            "means": StartMeans.CARD,
            "ended_by": EndKind.RECORD,
            "started_at": START,
            "ended_at": END,
            "readings": READINGS,
            "record": self.record(),
            "raw_record": bytes.fromhex("683b"),
            "token": CARD,
            "tariff_version_id": self.version.id,
            "tariff_hash": TARIFF.content_hash(),
            "station_bill": rate_readings(READINGS, TARIFF, SHANGHAI),
            "rated_w": 120_000,
        }
        return TransactionEnded(**(fields | changes))

    def estimated(self, minutes: int = 80, **changes: Any) -> TransactionEnded:
        """The same transaction closed from its live data after so many minutes."""
        readings = tuple(r for r in READINGS if r.at_ms <= to_ms(START) + minutes * 60_000)
        ended_at = START + timedelta(minutes=minutes)
        fields: dict[str, Any] = {
            "occurred_at": ended_at,
            "ended_at": ended_at,
            "ended_by": EndKind.ESTIMATED,
            "record": None,
            "readings": readings,
            "station_bill": rate_readings(readings, TARIFF, SHANGHAI),
        }
        return self.ended(**(fields | changes))


async def build_world(session: AsyncSession) -> World:
    """Return a station with one charge point, a published tariff and one card."""
    made_at = START - timedelta(days=1)
    operator = await stations.ensure_operator(session, name="运营商", now=made_at)
    station, _secret = await stations.create_station(
        session,
        operator_id=operator.id,
        station_no="1001",
        name_zh="一号站",
        name_en="Station one",
        time_zone="Asia/Shanghai",
        now=made_at,
    )
    await stations.register_charge_point(
        session,
        station=station,
        config=ChargePointConfig(charge_point_no=CHARGE_POINT_NO, connector_count=2),
        now=made_at,
    )
    version = await tariffs.create_version(
        session,
        operator_id=operator.id,
        station_id=station.id,
        tariff=TARIFF,
        valid_from=made_at,
        now=made_at,
    )
    await access.create_token(
        session,
        operator_id=operator.id,
        kind=CARD.kind,
        value=CARD.value,
        limit_fen=50_000,
        now=made_at,
    )
    staff = Staff(UUID(int=7), operator.id, "wang", Role.ADMIN)
    names = {
        "transaction_id": UUID(int=1),
        "transaction_no": "55031412782305012611220640000001",
        "charge_point_no": CHARGE_POINT_NO,
        "connector_no": 1,
    }
    return World(session=session, station=station, version=version, staff=staff, names=names)
