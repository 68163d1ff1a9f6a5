"""From packed columns on the wire to the bytes of a binary COPY, without a Python row between.

Pure: bytes and integers in, arrays and bytes out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cloud.telemetry.models import KIND_CODES, width_of
from shared.contracts.telemetry import COLUMNS, ID_SIZE, MISSING, Block
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
    transaction_ids: bytes
    keys: Matrix
    values: Matrix

    @property
    def count(self) -> int:
        """How many samples."""
        return int(self.keys.shape[1])


def read_blocks(blocks: Sequence[Block]) -> list[Samples | MalformedContractError]:
    """Unpack checked blocks, in their order; an error stands where an index is out of its table.

    Blocks of one kind and size, of whatever batches, are unpacked together: for a batch of a
    dozen samples the number of calls into numpy is all that costs.
    """
    alike: dict[tuple[SampleKind, int], list[int]] = defaultdict(list)
    for place, block in enumerate(blocks):
        alike[block.kind, block.count].append(place)
    found: dict[int, Samples | MalformedContractError] = {}
    for (kind, count), places in alike.items():
        members = [blocks[place] for place in places]
        stack = _read_stack(members, len(COLUMNS[kind]), count)
        good = _indexes_are_good(stack, members)
        for place, block, matrix, is_good in zip(places, members, stack, good, strict=True):
            found[place] = (
                Samples(kind, block.connectors, block.transaction_ids, matrix[:3], matrix[3:])
                if is_good and all(map(_fits, block.connectors))
                else MalformedContractError("an index points outside its table")
            )
    return [found[place] for place in range(len(blocks))]


def _read_stack(blocks: Sequence[Block], values: int, count: int) -> NDArray[np.int64]:
    """Return blocks × (3 keys + values) × samples."""
    by_width: dict[str, tuple[list[int], list[bytes]]] = defaultdict(lambda: ([], []))
    row = 0
    for block in blocks:
        for column in (block.times_ms, block.connector_index, block.transaction_index):
            rows, parts = by_width[column.typecode]
            rows.append(row)
            parts.append(column.data)
            row += 1
        for column in block.columns[:values]:
            rows, parts = by_width[column.typecode]
            rows.append(row)
            parts.append(column.data)
            row += 1
    matrix = np.empty((row, count), dtype=np.int64)
    for typecode, (rows, parts) in by_width.items():
        width = _WIDTHS[typecode]
        planes = np.frombuffer(b"".join(parts), dtype=np.uint8).reshape(len(rows), width, count)
        packed = np.ascontiguousarray(planes.swapaxes(1, 2)).view(f"<i{width}")[:, :, 0]
        matrix[rows] = packed.cumsum(axis=1, dtype=np.int64)
    return matrix.reshape(len(blocks), 3 + values, count)


def _indexes_are_good(stack: NDArray[np.int64], blocks: Sequence[Block]) -> list[bool]:
    connectors = np.array([len(block.connectors) for block in blocks])
    transactions = np.array([len(block.transaction_ids) for block in blocks]) // ID_SIZE
    good: list[bool] = (
        (stack[:, 1].min(axis=1) >= 0)
        & (stack[:, 1].max(axis=1) < connectors)
        & (stack[:, 2].max(axis=1) < transactions)
    ).tolist()
    return good


def _fits(connector: tuple[str, int]) -> bool:
    return 0 <= connector[1] <= 0x7FFF and len(connector[0]) <= 64


@dataclass(frozen=True, slots=True)
class Rows:
    """Samples of one kind, of any number of batches, as the table's columns.

    `keys` 4 × n: time, charge point's number in the table, connector, index of transaction.
    """

    kind: SampleKind
    transaction_ids: bytes
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
    counts = [part.count for part, _ in parts]
    times, index, transactions = np.concatenate([part.keys for part, _ in parts], axis=1)
    # Each part's indexes point into its own tables; the tables are joined too.
    index = index + np.repeat(_starts([len(part.connectors) for part, _ in parts]), counts)
    id_counts = [len(part.transaction_ids) // ID_SIZE for part, _ in parts]
    starts = np.repeat(_starts(id_counts), counts)
    charge_point_ids = np.array([each for _, numbers in parts for each in numbers])
    connector_nos = np.array([no for part, _ in parts for _, no in part.connectors])
    keys = np.vstack(
        (
            times,
            charge_point_ids[index],
            connector_nos[index],
            np.where(transactions >= 0, transactions + starts, -1),
        )
    )
    transaction_ids = b"".join(part.transaction_ids for part, _ in parts)
    values = np.concatenate([part.values for part, _ in parts], axis=1)
    limits = _limits(kind)
    misfits = (values < -limits - 1) | (values > limits)
    values[misfits | (values == MISSING)] = NO_VALUE
    return Rows(kind, transaction_ids, keys, values), int(misfits.sum())


def _starts(sizes: Sequence[int]) -> NDArray[np.int64]:
    return np.cumsum([0, *sizes[:-1]], dtype=np.int64)


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
        ids = np.frombuffer(rows.transaction_ids, dtype=f"V{ID_SIZE}")
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
