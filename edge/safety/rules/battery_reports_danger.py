"""Stop a connector whose battery management reports a danger by itself (0x25 status bits)."""

from __future__ import annotations

CODE = "battery_reports_danger"

_OVER = 0b01
_STATUS_1 = ((0, "cell_over_voltage"), (4, "over_current"), (6, "over_temperature"))
_STATUS_2 = ((0, "insulation"), (2, "connector"))


def condition(status_1: int, status_2: int) -> str:
    """Return the first danger that the two status bytes report, "" for none.

    Each is a 2-bit field; 01 is the danger, 10 is "untrusted" and not acted on.
    """
    for status, fields in ((status_1, _STATUS_1), (status_2, _STATUS_2)):
        for shift, name in fields:
            if status >> shift & 0b11 == _OVER:
                return name
    return ""
