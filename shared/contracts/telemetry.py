"""Telemetry on the wire: columns, not rows, because neighbouring samples hardly differ.

A block holds samples of one kind. Each column is stored as differences to the sample before,
in the smallest integer that holds them, with the bytes of equal weight side by side; zstd then
finds long runs. Per sample this takes a third of what rows in msgpack take.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate, groupby, repeat
from operator import itemgetter, sub
from typing import NamedTuple, TypeVar
from uuid import UUID

from msgspec import MsgspecError, Struct, msgpack

from shared.contracts.envelope import compress, decompress
from shared.contracts.protection import Quality
from shared.contracts.words import SampleKind
from shared.errors import MalformedContractError

MISSING = -32768
"""Stands in a column for a value that the device did not give."""

Key = TypeVar("Key")

COLUMNS: dict[SampleKind, tuple[str, ...]] = {
    SampleKind.METER: (
        "voltage_dv",
        "current_da",
        "energy_dwh",
        "amount_e4",
        "soc_percent",
        "cable_temp_c",
        "battery_temp_max_c",
        "charged_min",
        "remaining_min",
        "wire_state",
        "faults",
    ),
    SampleKind.BMS_DEMAND: (
        "voltage_demand_dv",
        "current_demand_da",
        "charging_mode",
        "voltage_dv",
        "current_da",
        "cell_voltage_max_cv",
        "cell_group",
        "soc_percent",
        "remaining_min",
        "output_voltage_dv",
        "output_current_da",
        "charged_min",
    ),
    SampleKind.BMS_STATUS: (
        "cell_voltage_max_no",
        "battery_temp_max_c",
        "battery_temp_max_no",
        "battery_temp_min_c",
        "battery_temp_min_no",
        "status_1",
        "status_2",
    ),
    SampleKind.SENSOR: ("value_milli", "quality_code"),
}
"""The values of a sample, in order. `_dv` 0.1 V, `_da` 0.1 A, `_cv` 0.01 V, `_c` °C.

A sensor's sample has `device/point` for its charge point number and connector 0; `value_milli` is
thousandths of its quantity's unit, `quality_code` a position in `QUALITIES`.
"""

QUALITIES: tuple[Quality, ...] = (
    Quality.GOOD,
    Quality.NO_ANSWER,
    Quality.REFUSED,
    Quality.INVALID,
    Quality.STALE,
)
"""What `quality_code` counts; grows at the end."""

SAMPLES_MAX = 20_000
"""Samples that a block may claim; more is refused before memory is taken for them."""

ID_SIZE = 16
"""Bytes of a transaction's id in a block."""

_SIZES = {"b": 1, "h": 2, "i": 4, "q": 8}
_TYPECODES = ("b", "h", "i", "q")


class Sample(NamedTuple):
    """One sample: integers only, in the order of `COLUMNS`, `MISSING` where there is none."""

    kind: SampleKind
    charge_point_no: str
    connector_no: int
    transaction_id: UUID | None
    at_ms: int
    values: tuple[int, ...]


class Column(Struct, frozen=True, array_like=True):
    """Differences as an array of `typecode` (b, h, i or q), little-endian, bytes shuffled."""

    typecode: str
    data: bytes


class Block(Struct, frozen=True, array_like=True):
    """Samples of one kind, ordered by connector and time.

    `connectors` and `transaction_ids`, of 16 bytes each, are what the two index columns point
    into; index −1 means no transaction. `columns` are those of `COLUMNS[kind]`; a longer list is
    of a newer sender.
    """

    kind: SampleKind
    count: int
    connectors: tuple[tuple[str, int], ...]
    transaction_ids: bytes
    times_ms: Column
    connector_index: Column
    transaction_index: Column
    columns: tuple[Column, ...]


_encoder = msgpack.Encoder(uuid_format="bytes")
_decoder = msgpack.Decoder(tuple[Block, ...])


def pack_samples(samples: Iterable[Sample]) -> bytes:
    """Return samples as the compressed body of a telemetry batch.

    Raises:
        OverflowError: Neighbouring values differ by more than 63 bits; none of a device do.
        ValueError: A sample has not as many values as its kind.
    """
    by_kind: dict[SampleKind, list[Sample]] = {}
    for sample in samples:
        by_kind.setdefault(sample[0], []).append(sample)
    blocks = [_make_block(kind, members) for kind, members in by_kind.items()]
    return compress(_encoder.encode(blocks))


def unpack_blocks(body: bytes) -> tuple[Block, ...]:
    """Read the blocks of a telemetry body, columns still packed.

    Raises:
        MalformedContractError: Not what `pack_samples` makes, or too large.
    """
    try:
        blocks = _decoder.decode(decompress(body))
    except (MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedContractError(str(error)) from error
    for block in blocks:
        _check_block(block)
    return blocks


def unpack_samples(body: bytes) -> list[Sample]:
    """Read the samples of a telemetry body. Raises MalformedContractError."""
    return [sample for block in unpack_blocks(body) for sample in _read_block(block)]


def _make_block(kind: SampleKind, samples: list[Sample]) -> Block:
    samples.sort(key=itemgetter(1, 2, 4))
    kinds, nos, connector_nos, transactions, times, values = zip(*samples, strict=True)
    del kinds
    connectors: dict[tuple[str, int], int] = {}
    connector_index = _indices(zip(nos, connector_nos, strict=True), connectors)
    ids: dict[UUID | None, int] = {None: 0}
    transaction_index = [index - 1 for index in _indices(transactions, ids)]
    del ids[None]
    return Block(
        kind=kind,
        count=len(samples),
        connectors=tuple(connectors),
        transaction_ids=b"".join(key.bytes for key in ids if key is not None),
        times_ms=_make_column(times),
        connector_index=_make_column(connector_index),
        transaction_index=_make_column(transaction_index),
        columns=tuple(map(_make_column, zip(*values, strict=True))),
    )


def _indices(keys: Iterable[Key], known: dict[Key, int]) -> list[int]:
    """Return where each key stands in `known`, to which new ones are added; equals come in runs."""
    found: list[int] = []
    for key, run in groupby(keys):
        found += repeat(known.setdefault(key, len(known)), len(list(run)))
    return found


def _read_block(block: Block) -> Iterable[Sample]:
    columns = [read_column(c, block.count) for c in block.columns[: len(COLUMNS[block.kind])]]
    ids = [
        UUID(bytes=block.transaction_ids[start : start + ID_SIZE])
        for start in range(0, len(block.transaction_ids), ID_SIZE)
    ]
    places = zip(
        read_column(block.times_ms, block.count),
        read_column(block.connector_index, block.count),
        read_column(block.transaction_index, block.count),
        zip(*columns, strict=True),
        strict=True,
    )
    for at_ms, connector, transaction, values in places:
        if not (0 <= connector < len(block.connectors) and transaction < len(ids)):
            raise MalformedContractError("an index points outside its table")
        charge_point_no, connector_no = block.connectors[connector]
        transaction_id = ids[transaction] if transaction >= 0 else None
        yield Sample(block.kind, charge_point_no, connector_no, transaction_id, at_ms, values)


def _check_block(block: Block) -> None:
    if not 0 < block.count <= SAMPLES_MAX:
        raise MalformedContractError(f"{block.count} samples in a block, at most {SAMPLES_MAX}")
    # No database holds NUL, and no terminal should be shown the other control characters.
    if not "".join([charge_point_no for charge_point_no, _ in block.connectors]).isprintable():
        raise MalformedContractError("a charge point's number is not printable")
    if len(block.transaction_ids) % ID_SIZE:
        raise MalformedContractError("transactions are not of 16 bytes each")
    if len(block.columns) < len(COLUMNS[block.kind]):
        raise MalformedContractError(f"{len(block.columns)} columns of {block.kind}")
    count = block.count
    for column in (block.times_ms, block.connector_index, block.transaction_index, *block.columns):
        if len(column.data) != count * _SIZES.get(column.typecode, 0):
            raise MalformedContractError("a column is not as long as its block")


def _make_column(values: Sequence[int]) -> Column:
    differences = [values[0], *map(sub, values[1:], values)]
    packed = _narrowest(differences)
    if sys.byteorder == "big":
        packed.byteswap()
    return Column(packed.typecode, _shuffle(packed.tobytes(), packed.itemsize))


def _narrowest(values: list[int]) -> array[int]:
    """Return an array of the shortest integers that hold all values. Raises OverflowError."""
    for typecode in _TYPECODES:
        try:
            return array(typecode, values)
        except OverflowError:
            continue
    raise OverflowError("neighbouring values differ by more than 63 bits")


def read_column(column: Column, count: int) -> Sequence[int]:
    """Return the `count` values of a column of a checked block."""
    packed = array(column.typecode)
    packed.frombytes(_unshuffle(column.data, packed.itemsize, count))
    if sys.byteorder == "big":
        packed.byteswap()
    return list(accumulate(packed))


def _shuffle(data: bytes, width: int) -> bytes:
    return data if width == 1 else b"".join(data[plane::width] for plane in range(width))


def _unshuffle(data: bytes, width: int, count: int) -> bytes:
    if width == 1:
        return data
    whole = bytearray(len(data))
    for plane in range(width):
        whole[plane::width] = data[plane * count : (plane + 1) * count]
    return bytes(whole)
