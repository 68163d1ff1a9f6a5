"""How one charge point's YKC differs from the document: data, set per charge point."""

from __future__ import annotations

import msgspec

from edge.devices.chargers.ykc.frames import CrcOrder

_PARALLEL_KINDS = frozenset({0xA1, 0xA2, 0xA3, 0xA4})


class Dialect(msgspec.Struct, frozen=True):
    """One way of speaking YKC.

    Attributes:
        name: as configured, e.g. ``ykc16``.
        protocol_version: what a login of this dialect usually carries (version × 10). It does
            not identify the dialect: vendors with other bodies send 16 too.
        crc_send: order of the two CRC bytes that we send; both are read.
        fault_bit_base: mask of fault 1 in 0x13: 2 (fault k is ``1 << k``, default) or
            1 (``1 << (k - 1)``). The document does not say which.
        long_bodies: kinds whose body may be longer than the table; the rest is kept as `tail`.
        foreign_kinds: kinds that this dialect has not, or with another layout: not read at all.
        qr_success: value of 0xF1's result that means success; the sources disagree.
    """

    name: str
    protocol_version: int = 16
    crc_send: CrcOrder = "low_first"
    fault_bit_base: int = 2
    long_bodies: frozenset[int] = frozenset({0x03, 0x13})
    foreign_kinds: frozenset[int] = frozenset()
    qr_success: int = 0


YKC16 = Dialect("ykc16")

DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        YKC16,
        # 1.5 is 1.6 without parallel charging.
        Dialect("ykc15", protocol_version=15, foreign_kinds=_PARALLEL_KINDS),
        # 易联桩 V1.8.22: longer 0x03, 0x13, 0x34; its own layout of 0x51 and 0x52.
        Dialect(
            "ylc",
            long_bodies=frozenset({0x03, 0x13, 0x34}),
            foreign_kinds=frozenset({0x51, 0x52}),
        ),
    )
}
