"""What the station wants of a charge point. The driver turns it into frames and retries.

A wish with a `wish_no` above 0 is answered by `reports.WishSettled`. What a wish achieved is
believed only from reports.
"""

from __future__ import annotations

from msgspec import Struct

from shared.contracts.commands import ChargePointConfig, OfflineCard
from shared.contracts.words import RefusalReason
from shared.tariff import Tariff


class Wish(Struct, frozen=True, kw_only=True):
    """Root of all wishes."""

    charge_point_no: str
    wish_no: int = 0


class HeldTariff(Struct, frozen=True):
    """A tariff under the number by which charge points know it, and its content hash."""

    model_no: int
    tariff: Tariff
    content_hash: str


class DecideLogin(Wish, frozen=True, kw_only=True):
    """Let a number in, or not. `config` and `tariff` serve the rest of the conversation.

    `confirmed_hash` is the tariff that this charge point is known to hold, "" when none.
    `open_transaction_nos` are those that the station knows to run on it: a sample that names
    one of them is live; another that comes before the tariff check is a stored one.
    """

    link_id: int
    accepted: bool
    config: ChargePointConfig | None = None
    tariff: HeldTariff | None = None
    confirmed_hash: str = ""
    set_clock: bool = True
    open_transaction_nos: tuple[str, ...] = ()


class AnswerStart(Wish, frozen=True, kw_only=True):
    """Answer a `StartRequested`. `balance_fen` is what may still be spent."""

    request_no: int
    connector_no: int
    accepted: bool
    reason: RefusalReason
    transaction_no: str
    logical_card_no: str = ""
    balance_fen: int = 0


class StartRemotely(Wish, frozen=True, kw_only=True):
    """0x34 or 0xA4: start a transaction; the outcome is `StartAnswered`, or nothing for 90 s."""

    connector_no: int
    transaction_no: str
    balance_fen: int
    logical_card_no: str = ""
    physical_card_no: str = ""
    parallel_no: str = ""


class StopRemotely(Wish, frozen=True, kw_only=True):
    """0x36: stop whatever runs on a connector; written at once."""

    connector_no: int


class ReadNow(Wish, frozen=True, kw_only=True):
    """0x12: have a connector report now."""

    connector_no: int


class HoldTariff(Wish, frozen=True, kw_only=True):
    """0x58: the tariff from now on; sent while the charge point's connectors are idle."""

    tariff: HeldTariff


class SetClock(Wish, frozen=True, kw_only=True):
    """0x56 with the station's local time at the moment of sending."""


class SetBalance(Wish, frozen=True, kw_only=True):
    """0x42: what a running transaction may spend."""

    connector_no: int
    balance_fen: int
    physical_card_no: str = ""


class StoreOfflineCards(Wish, frozen=True, kw_only=True):
    """0x44, in frames of at most 11 cards."""

    cards: tuple[OfflineCard, ...]


class ClearOfflineCards(Wish, frozen=True, kw_only=True):
    """0x46, in frames of at most 23 cards."""

    physical_card_nos: tuple[str, ...]


class QueryOfflineCards(Wish, frozen=True, kw_only=True):
    """0x48, in frames of at most 23 cards."""

    physical_card_nos: tuple[str, ...]


class SetWorkParameters(Wish, frozen=True, kw_only=True):
    """0x52: in or out of service, and power 30–100 %."""

    in_service: bool
    power_max_percent: int


class SetQrPrefix(Wish, frozen=True, kw_only=True):
    """0xF0: the QR code's beginning."""

    prefix: str
    with_connector: bool


class Reboot(Wish, frozen=True, kw_only=True):
    """0x92: restart at once, or when idle."""

    at_once: bool


class Update(Wish, frozen=True, kw_only=True):
    """0x94: fetch a program by FTP."""

    is_dc: bool
    power_kw: int
    host: str
    port: int
    user: str
    password: str
    path: str
    at_once: bool
    timeout_min: int


class SetBayLock(Wish, frozen=True, kw_only=True):
    """0x62: raise or lower a bay lock."""

    connector_no: int
    raised: bool


class CloseLink(Wish, frozen=True, kw_only=True):
    """Close the connection, so that the device logs in again and replays what it stored."""

    reason: str


AnyWish = (
    DecideLogin
    | AnswerStart
    | StartRemotely
    | StopRemotely
    | ReadNow
    | HoldTariff
    | SetClock
    | SetBalance
    | StoreOfflineCards
    | ClearOfflineCards
    | QueryOfflineCards
    | SetWorkParameters
    | SetQrPrefix
    | Reboot
    | Update
    | SetBayLock
    | CloseLink
)
