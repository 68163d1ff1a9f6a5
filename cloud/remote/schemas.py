"""What staff may have a charge point do, over HTTP. `do` says what; lengths are the wire's."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

import msgspec
from pydantic import BaseModel, Field, field_validator, model_validator

from cloud.core.commands import CommandRow
from shared.contracts import commands as c
from shared.contracts.words import Outcome

CARDS_MAX = 2_000
ConnectorNo = Annotated[int, Field(ge=1, le=99)]
CardNo = Annotated[
    str,
    Field(pattern=r"^[0-9A-Fa-f]{1,16}$", description="up to 16 digits; zeros are put before"),
]
_ANSWERED = frozenset({c.ClearOfflineCards.__name__, c.QueryOfflineCards.__name__})


def _cards_in(answer: bytes) -> list[dict[str, Any]] | None:
    """Return what a station said of cards, None if it makes no sense: the others stay listed."""
    try:
        return msgspec.json.decode(answer, type=list[dict[str, Any]])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _card_no(value: str) -> str:
    return value.lower().zfill(16)


class ReadBody(BaseModel):
    """Have a connector say its values now (0x12)."""

    do: Literal["read"]
    connector_no: ConnectorNo

    def command(self, charge_point_no: str) -> c.AnyCommand:
        """Return the command."""
        return c.ReadConnector(charge_point_no=charge_point_no, connector_no=self.connector_no)


class RebootBody(BaseModel):
    """Restart it, when idle or at once (0x92)."""

    do: Literal["reboot"]
    at_once: bool = Field(default=False, description="also while cars charge")

    def command(self, charge_point_no: str) -> c.AnyCommand:
        """Return the command."""
        return c.RebootChargePoint(charge_point_no=charge_point_no, at_once=self.at_once)


class WorkParametersBody(BaseModel):
    """Put it in or out of service, and cap its power (0x52)."""

    do: Literal["work_parameters"]
    in_service: bool
    power_max_percent: int = Field(default=100, ge=30, le=100)

    def command(self, charge_point_no: str) -> c.AnyCommand:
        """Return the command."""
        return c.SetWorkParameters(
            charge_point_no=charge_point_no,
            in_service=self.in_service,
            power_max_percent=self.power_max_percent,
        )


class QrPrefixBody(BaseModel):
    """Set where the QR code on its screen leads (0xF0)."""

    do: Literal["qr_prefix"]
    prefix: str = Field(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")
    with_connector: bool = Field(default=True, description="the connector's number is added")

    def command(self, charge_point_no: str) -> c.AnyCommand:
        """Return the command."""
        return c.SetQrPrefix(
            charge_point_no=charge_point_no,
            prefix=self.prefix,
            with_connector=self.with_connector,
        )


class SyncClockBody(BaseModel):
    """Set its clock now (0x56)."""

    do: Literal["sync_clock"]

    def command(self, charge_point_no: str) -> c.AnyCommand:
        """Return the command."""
        return c.SyncClock(charge_point_no=charge_point_no)


class BayLockBody(BaseModel):
    """Raise or lower the lock of a bay (0x62)."""

    do: Literal["bay_lock"]
    connector_no: ConnectorNo
    raised: bool

    def command(self, charge_point_no: str) -> c.AnyCommand:
        """Return the command."""
        return c.SetBayLock(
            charge_point_no=charge_point_no, connector_no=self.connector_no, raised=self.raised
        )


class OfflineCardBody(BaseModel):
    """A card that may charge while the charge point is off-line."""

    physical_card_no: CardNo
    logical_card_no: CardNo = "0"

    def card(self) -> c.OfflineCard:
        """Return it as the contract has it."""
        return c.OfflineCard(_card_no(self.logical_card_no), _card_no(self.physical_card_no))


class StoreCardsBody(BaseModel):
    """Store cards in it, beside those that it has (0x44)."""

    do: Literal["store_offline_cards"]
    cards: list[OfflineCardBody] = Field(min_length=1, max_length=CARDS_MAX)

    def command(self, charge_point_no: str) -> c.AnyCommand:
        """Return the command."""
        return c.SetOfflineCards(
            charge_point_no=charge_point_no, cards=tuple(each.card() for each in self.cards)
        )


class _Cards(BaseModel):
    physical_card_nos: list[CardNo] = Field(min_length=1, max_length=CARDS_MAX)

    @field_validator("physical_card_nos")
    @classmethod
    def _whole(cls, numbers: list[str]) -> list[str]:
        return [_card_no(number) for number in numbers]


class ClearCardsBody(_Cards):
    """Remove cards from it (0x46); the command's `answer` says of each whether it is gone."""

    do: Literal["clear_offline_cards"]

    def command(self, charge_point_no: str) -> c.AnyCommand:
        """Return the command."""
        return c.ClearOfflineCards(
            charge_point_no=charge_point_no, physical_card_nos=tuple(self.physical_card_nos)
        )


class QueryCardsBody(_Cards):
    """Ask which of these cards it has (0x48); the command's `answer` says so of each."""

    do: Literal["query_offline_cards"]

    def command(self, charge_point_no: str) -> c.AnyCommand:
        """Return the command."""
        return c.QueryOfflineCards(
            charge_point_no=charge_point_no, physical_card_nos=tuple(self.physical_card_nos)
        )


DeviceBody = Annotated[
    ReadBody
    | RebootBody
    | WorkParametersBody
    | QrPrefixBody
    | SyncClockBody
    | BayLockBody
    | StoreCardsBody
    | ClearCardsBody
    | QueryCardsBody,
    Field(discriminator="do"),
]
Ascii16 = Annotated[str, Field(max_length=16, pattern=r"^[\x21-\x7e]*$")]


class FirmwareBody(BaseModel):
    """A program to fetch by FTP (0x94). HQ hosts none: all of it is the maker's or yours."""

    is_dc: bool = True
    power_kw: int = Field(ge=0, le=65_535)
    host: Annotated[str, Field(min_length=1, max_length=16, pattern=r"^[\x21-\x7e]+$")]
    port: int = Field(default=21, ge=1, le=65_535)
    user: Ascii16 = ""
    password: Ascii16 = ""
    path: str = Field(min_length=1, max_length=32, pattern=r"^[\x21-\x7e]+$")
    at_once: bool = Field(default=False, description="also while cars charge")
    timeout_min: int = Field(default=10, ge=1, le=255)

    def command(self, charge_point_no: str) -> c.UpdateFirmware:
        """Return the command."""
        return c.UpdateFirmware(charge_point_no=charge_point_no, **self.model_dump())


class PlaceBody(BaseModel):
    """A connector, a charge point (connector 0), or without both the whole station."""

    charge_point_no: str = Field(default="", max_length=32, examples=["55031412782305"])
    connector_no: int = Field(default=0, ge=0, le=99)
    reason: str = Field(min_length=1, max_length=200)

    @model_validator(mode="after")
    def _a_connector_is_of_something(self) -> Self:
        if self.connector_no and not self.charge_point_no:
            raise ValueError("a connector needs its charge_point_no")
        return self


class LimitBody(BaseModel):
    """What a running charge may cost from now on; 0 = no limit."""

    limit_fen: int = Field(ge=0, le=2**31 - 1)


class CommandRead(BaseModel):
    """A command and how it ended. Without an outcome it is on its way.

    `accepted` is of programs only: the charge point took the wish. It becomes `done` when it logs
    in with another program version.
    """

    id: UUID
    station_no: str
    kind: str
    issued_at: datetime
    expires_at: datetime | None
    sent: int
    settled_at: datetime | None
    outcome: Outcome | None
    reason: str
    answer: list[dict[str, Any]] | None = Field(default=None, description="of offline cards")

    @classmethod
    def of(cls, row: CommandRow) -> CommandRead:
        """Return a row as it goes over HTTP; never the command itself, it may hold a password."""
        answer = _cards_in(row.answer) if row.answer and row.kind in _ANSWERED else None
        return cls.model_validate(
            row.model_dump(exclude={"command", "answer"}) | {"answer": answer}
        )
