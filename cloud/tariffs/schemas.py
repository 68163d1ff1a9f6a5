"""Tariffs over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field

from cloud.tariffs.models import TariffKind, Version
from cloud.tariffs.service import tariff_of
from shared.tariff import Period, PeriodPrice, Tariff

Prices = Annotated[list[int], Field(min_length=2, max_length=2)]


class TariffBody(BaseModel):
    """A tariff as in `vw rate`: 48 letters from 00:00, prices `[electricity, service]`."""

    slots: str = Field(
        description="48 half hours from 00:00 in the station's zone: S sharp, P peak, F flat, "
        "V valley",
        examples=["VVVVVVVVVVVVVVFFPPPPPPFFFFFFPPFFFFFFSSSSPPPPFFVV"],
    )
    prices_e5: dict[Period, Prices] = Field(
        description="Electricity and service price, 1e-5 yuan/kWh, for all four periods",
        examples=[
            {
                "sharp": [123456, 45000],
                "peak": [102345, 45000],
                "flat": [65432, 40000],
                "valley": [32109, 35000],
            }
        ],
    )
    per_minute_e5: int = Field(default=0, description="1e-5 yuan a whole minute")

    def to_tariff(self) -> Tariff:
        """Return it as the rest of the program knows it; not yet checked."""
        prices = {period: PeriodPrice(*pair) for period, pair in self.prices_e5.items()}
        return Tariff(self.slots, prices, self.per_minute_e5)

    @classmethod
    def of(cls, tariff: Tariff) -> TariffBody:
        """Return a tariff as it goes over HTTP."""
        return cls(
            slots=tariff.slots,
            prices_e5={
                period: [price.energy_price_e5, price.service_price_e5]
                for period, price in tariff.prices.items()
            },
            per_minute_e5=tariff.per_minute_e5,
        )


class VersionCreate(BaseModel):
    """A new version; without `valid_from` it holds at once."""

    tariff: TariffBody
    valid_from: AwareDatetime | None = None
    note: str = Field(default="", max_length=500)


class VersionRead(BaseModel):
    """One version of a station's tariff."""

    id: UUID
    version: int
    model_no: int
    kind: TariffKind
    content_hash: str
    tariff: TariffBody
    valid_from: datetime
    created_at: datetime
    created_by: str
    note: str

    @classmethod
    def of(cls, version: Version) -> VersionRead:
        """Return a row as it goes over HTTP."""
        fields = version.model_dump(exclude={"tariff", "operator_id", "station_id"})
        return cls(tariff=TariffBody.of(tariff_of(version)), **fields)


class HoldingRead(BaseModel):
    """What a charge point has confirmed."""

    charge_point_no: str
    tariff_version_id: UUID
    model_no: int
    content_hash: str
    confirmed_at: datetime


class Difference(BaseModel):
    """One field that differs between two versions."""

    field: str
    before: str
    after: str
