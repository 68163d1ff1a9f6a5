"""Exact arithmetic for money: integers only, one rounding, shares that add up.

Units: `_fen` = 0.01 yuan, `_e5` = 1e-5 yuan (prices), `_nano` = 1e-9 yuan (a price times an
energy in 0.1 Wh, exactly).
"""

from __future__ import annotations

from collections.abc import Sequence

NANO_PER_FEN = 10_000_000
NANO_PER_E5 = 10_000
NANO_PER_E4 = 100_000


def divide_half_up(numerator: int, denominator: int) -> int:
    """Divide, rounding halves away from zero, as invoices are rounded.

    Python's own `round` sends halves to the nearest even digit, which would make a bill of
    0.5 fen disagree with the charge point's own screen.

    Raises:
        ValueError: The denominator is not positive.
    """
    if denominator <= 0:
        raise ValueError(f"denominator must be positive, got {denominator}")
    quotient, remainder = divmod(abs(numerator), denominator)
    if remainder * 2 >= denominator:
        quotient += 1
    return quotient if numerator >= 0 else -quotient


def share_out(total: int, weights: Sequence[int]) -> list[int]:
    """Split `total` in proportion to `weights` by largest remainder; the parts add up to it.

    Ties go to the earlier. With all weights zero the first takes everything.

    Args:
        total: What is split; 0 or more.
        weights: 0 or more each; at least one.

    Raises:
        ValueError: Something is negative, or there is nobody to share with.
    """
    if total < 0 or not weights or min(weights) < 0:
        raise ValueError(f"cannot share {total} over {list(weights)}")
    whole = sum(weights)
    if whole == 0:
        return [total, *[0] * (len(weights) - 1)]
    parts = [total * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(total * weights[i] % whole), i))
    for index in by_remainder[: total - sum(parts)]:
        parts[index] += 1
    return parts


def format_yuan(amount_fen: int) -> str:
    """Return fen as yuan with two decimals: `-1234` → `-12.34`."""
    sign = "-" if amount_fen < 0 else ""
    yuan, fen = divmod(abs(amount_fen), 100)
    return f"{sign}{yuan}.{fen:02d}"
