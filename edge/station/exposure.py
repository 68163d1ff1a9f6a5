"""What has been spent, or may be before anybody is asked again: of one token, and of all. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec import Struct

from edge.station.open_transaction import ClosedTransaction, OpenTransaction, Stage
from shared.contracts.events import Token
from shared.contracts.words import TokenKind
from shared.tokens import normalise


class Spent(Struct, frozen=True):
    """What transactions have come to, or may come to, fen."""

    by_token_fen: int
    by_all_fen: int


class Asked(Struct, frozen=True):
    """Who asks, and where; a start that waits on the same connector gives way to this one."""

    token: Token
    charge_point_no: str
    connector_no: int
    parallel_no: str = ""


def spent(
    asked: Asked,
    opened: Iterable[OpenTransaction],
    closed: Iterable[ClosedTransaction],
    amount_fen: Callable[[OpenTransaction], int],
) -> Spent:
    """Add up what is open, at the limit that each was permitted, and what was closed."""
    token = _one_form(asked.token)
    by_token = by_all = 0
    for transaction in opened:
        fen = _may_spend_fen(transaction, asked, amount_fen(transaction))
        by_all += fen
        by_token += fen if _one_form(transaction.token) == token else 0
    for each in closed:
        by_all += each.payable_fen
        by_token += each.payable_fen if _one_form(each.token) == token else 0
    return Spent(by_token, by_all)


def _one_form(token: Token | None) -> tuple[TokenKind, str] | None:
    """HQ and charge points write one token differently."""
    return None if token is None else (token.kind, normalise(token.kind, token.value))


def _may_spend_fen(transaction: OpenTransaction, asked: Asked, used_fen: int) -> int:
    if transaction.stage is Stage.ENDED:
        return used_fen
    if transaction.charge_point_no == asked.charge_point_no:
        same_connector = transaction.connector_no == asked.connector_no
        if same_connector and transaction.stage is Stage.AUTHORIZED:
            return 0
        if asked.parallel_no and transaction.parallel_no == asked.parallel_no:
            return used_fen  # one permission for one vehicle, on two connectors
    return max(used_fen, transaction.limit_fen)
