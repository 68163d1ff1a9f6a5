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


def clean(samples: Samples) -> int:
    """Replace, in place, what is missing or does not fit by `NO_VALUE`; return how many misfit."""
    values = samples.values
    limits = _limits(samples.kind)
    misfits = (values < -limits - 1) | (values > limits)
    count = int(misfits.sum())
    values[misfits | (values == MISSING)] = NO_VALUE
    return count


@cache
def _limits(kind: SampleKind) -> Matrix:
    limits = [[(1 << (8 * width_of(name) - 1)) - 1] for name in COLUMNS[kind]]
    # One below the edge, so that `-limit - 1` cannot overflow for eight bytes.
    return np.minimum(np.array(limits, dtype=np.int64), (1 << 63) - 2)


def copy_columns(kind: SampleKind) -> tuple[str, ...]:
    """Return the table's columns in the order in which `copy_rows` writes them."""
    return (*_KEY_COLUMNS, "transaction_id", *COLUMNS[kind])


def copy_rows(samples: Samples, charge_point_ids: Sequence[int]) -> bytes:
    """Return samples as rows of a binary COPY, without header and trailer.

    Args:
        samples: Cleaned samples.
        charge_point_ids: The table's numbers, by index into `samples.connectors`.
    """
    keys, values = samples.keys, samples.values
    connector_nos = np.array([no for _, no in samples.connectors])
    key_rows = (
        keys[0],
        np.asarray(charge_point_ids)[keys[1]],
        connector_nos[keys[1]],
        np.full(samples.count, KIND_CODES[samples.kind]),
    )
    absent = np.vstack((keys[2] < 0, values == NO_VALUE))
    patterns = np.packbits(absent, axis=0, bitorder="little")
    if (patterns == patterns[:, :1]).all():
        return _pack(samples, key_rows, absent[:, 0], slice(None))
    # Rows with the same values missing have the same layout.
    _, group = np.unique(patterns, axis=1, return_inverse=True)
    group = group.ravel()
    return b"".join(
        _pack(samples, key_rows, absent[:, picked[0]], picked)
        for picked in (np.flatnonzero(group == number) for number in range(group.max() + 1))
    )


def _pack(
    samples: Samples, key_rows: Sequence[Matrix], absent: NDArray[np.bool_], picked: Any
) -> bytes:
    dtype, template = _layout(samples.kind, absent.tobytes())
    rows = np.empty(len(key_rows[0][picked]), dtype=dtype)
    rows[:] = template
    for name, column in zip(_KEY_COLUMNS, key_rows, strict=True):
        rows[name] = column[picked]
    if not absent[0]:
        ids = np.array([key.bytes for key in samples.transaction_ids], dtype="V16")
        rows["transaction_id"] = ids[samples.keys[2][picked]]
    for name, column, gone in zip(COLUMNS[samples.kind], samples.values, absent[1:], strict=True):
        if not gone:
            rows[name] = column[picked]
    return rows.tobytes()


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
