"""From packed columns on the wire to the bytes of a binary COPY, without a Python row between.

Pure: bytes and integers in, arrays and bytes out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from cloud.telemetry.models import KIND_CODES, width_of
from shared.contracts.telemetry import COLUMNS, MISSING, Block
from shared.contracts.telemetry import Column as WireColumn
from shared.contracts.words import SampleKind
from shared.errors import MalformedContractError

Matrix = NDArray[np.int64]

COPY_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
COPY_TRAILER = b"\xff\xff"
NO_VALUE = np.iinfo(np.int64).min
"""Marks a NULL inside a matrix."""
_KEY_COLUMNS = ("ts_ms", "charge_point_id", "connector_no", "kind")
_KEY_WIDTHS = (8, 4, 2, 2)
_WIDTHS = {"b": 1, "h": 2, "i": 4, "q": 8}


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples of one kind as columns: `keys` 3 × n (time, connector index, transaction index),
    `values` one row per name in `COLUMNS[kind]`."""

    kind: SampleKind
    connectors: tuple[tuple[str, int], ...]
    transaction_ids: tuple[UUID, ...]
    keys: Matrix
    values: Matrix

    @property
    def count(self) -> int:
        """How many samples."""
        return int(self.keys.shape[1])


def read_block(block: Block) -> Samples:
    """Unpack a checked block.

    Raises:
        MalformedContractError: An index points outside its table.
    """
    names = COLUMNS[block.kind]
    wire = (
        block.times_ms,
        block.connector_index,
        block.transaction_index,
        *block.columns[: len(names)],
    )
    matrix = _read_columns(wire, block.count)
    keys, values = matrix[:3], matrix[3:]
    if not (
        keys[1].min() >= 0
        and keys[1].max() < len(block.connectors)
        and keys[2].max() < len(block.transaction_ids)
        and all(0 <= no <= 0x7FFF and len(point) <= 32 for point, no in block.connectors)
    ):
        raise MalformedContractError("an index points outside its table")
    return Samples(block.kind, block.connectors, block.transaction_ids, keys, values)


def _read_columns(columns: Sequence[WireColumn], count: int) -> Matrix:
    # Columns of equal width are summed in one call: for a batch of a dozen samples the number
    # of calls into numpy is all that costs.
    matrix = np.empty((len(columns), count), dtype=np.int64)
    by_width: dict[int, list[int]] = defaultdict(list)
    for place, column in enumerate(columns):
        by_width[_WIDTHS[column.typecode]].append(place)
    for width, places in by_width.items():
        data = b"".join([columns[place].data for place in places])
        planes = np.frombuffer(data, dtype=np.uint8).reshape(len(places), width, count)
        packed = np.ascontiguousarray(planes.swapaxes(1, 2)).view(f"<i{width}")[:, :, 0]
        matrix[places] = packed.cumsum(axis=1, dtype=np.int64)
    return matrix


@dataclass(frozen=True, slots=True)
class Rows:
    """Samples of one kind, of any number of batches, as the table's columns.

    `keys` 4 × n: time, charge point's number in the table, connector, index of transaction.
    """

    kind: SampleKind
    transaction_ids: tuple[UUID, ...]
    keys: Matrix
    values: Matrix


def make_rows(parts: Sequence[tuple[Samples, Sequence[int]]]) -> tuple[Rows, int]:
    """Join samples of one kind, and replace values that are missing or do not fit by `NO_VALUE`.

    Args:
        parts: Samples, each with the table's numbers of its `connectors`.

    Returns:
        The rows, and how many values did not fit.
    """
    kind = parts[0][0].kind
    keys = np.empty((4, sum(part.count for part, _ in parts)), dtype=np.int64)
    transaction_ids: list[UUID] = []
    start = 0
    for part, charge_point_ids in parts:
        end = start + part.count
        times, index, transactions = part.keys
        keys[0, start:end] = times
        keys[1, start:end] = np.array(charge_point_ids)[index]
        keys[2, start:end] = np.array([no for _, no in part.connectors])[index]
        keys[3, start:end] = transactions
        keys[3, start:end][transactions >= 0] += len(transaction_ids)
        transaction_ids.extend(part.transaction_ids)
        start = end
    values = np.concatenate([part.values for part, _ in parts], axis=1)
    limits = _limits(kind)
    misfits = (values < -limits - 1) | (values > limits)
    values[misfits | (values == MISSING)] = NO_VALUE
    return Rows(kind, tuple(transaction_ids), keys, values), int(misfits.sum())


@cache
def _limits(kind: SampleKind) -> Matrix:
    limits = [[(1 << (8 * width_of(name) - 1)) - 1] for name in COLUMNS[kind]]
    # One below the edge, so that `-limit - 1` cannot overflow for eight bytes.
    return np.minimum(np.array(limits, dtype=np.int64), (1 << 63) - 2)


def copy_columns(kind: SampleKind) -> tuple[str, ...]:
    """Return the table's columns in the order in which `copy_bytes` writes them."""
    return (*_KEY_COLUMNS, "transaction_id", *COLUMNS[kind])


def copy_bytes(rows: Rows) -> bytes:
    """Return rows as the whole input of a binary COPY."""
    absent = np.vstack((rows.keys[3] < 0, rows.values == NO_VALUE))
    patterns = np.packbits(absent, axis=0, bitorder="little")
    if (patterns == patterns[:, :1]).all():
        packed = [_pack(rows, absent[:, 0], slice(None))]
    else:
        # Rows with the same values missing have the same layout.
        _, group = np.unique(patterns, axis=1, return_inverse=True)
        group = group.ravel()
        places = (np.flatnonzero(group == number) for number in range(group.max() + 1))
        packed = [_pack(rows, absent[:, picked[0]], picked) for picked in places]
    return b"".join((COPY_HEADER, *packed, COPY_TRAILER))


def _pack(rows: Rows, absent: NDArray[np.bool_], picked: Any) -> bytes:
    dtype, template = _layout(rows.kind, absent.tobytes())
    keys = rows.keys[:, picked]
    packed = np.empty(keys.shape[1], dtype=dtype)
    packed[:] = template
    for name, column in zip(_KEY_COLUMNS, (*keys[:3], KIND_CODES[rows.kind]), strict=True):
        packed[name] = column
    if not absent[0]:
        ids = np.array([key.bytes for key in rows.transaction_ids], dtype="V16")
        packed["transaction_id"] = ids[keys[3]]
    for name, column, gone in zip(COLUMNS[rows.kind], rows.values, absent[1:], strict=True):
        if not gone:
            packed[name] = column[picked]
    return packed.tobytes()


@cache
def _layout(kind: SampleKind, absent: bytes) -> tuple[np.dtype[Any], NDArray[Any]]:
    """Return the layout of a row with these values missing, and a row with its lengths set."""
    fields: list[tuple[str, str]] = [("_count", ">i2")]
    lengths: dict[str, int] = {"_count": 5 + len(COLUMNS[kind])}

    def add(name: str, width: int, form: str, gone: bool) -> None:
        fields.append((f"_{name}", ">i4"))
        lengths[f"_{name}"] = -1 if gone else width
        if not gone:
            fields.append((name, form))

    for name, width in zip(_KEY_COLUMNS, _KEY_WIDTHS, strict=True):
        add(name, width, f">i{width}", gone=False)
    add("transaction_id", 16, "V16", gone=bool(absent[0]))
    for name, gone in zip(COLUMNS[kind], absent[1:], strict=True):
        add(name, width_of(name), f">i{width_of(name)}", gone=bool(gone))
    dtype = np.dtype(fields)
    template = np.zeros(1, dtype=dtype)
    for name, length in lengths.items():
        template[name] = length
    return dtype, template
