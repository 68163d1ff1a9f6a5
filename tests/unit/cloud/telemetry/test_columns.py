"""Columns from the wire become exactly the rows that were meant."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from cloud.telemetry.columns import (
    COPY_HEADER,
    Samples,
    copy_bytes,
    copy_columns,
    make_rows,
    read_blocks,
)
from cloud.telemetry.models import KIND_CODES, VALUE_COLUMNS, width_of
from shared.contracts.telemetry import COLUMNS, MISSING, Sample, pack_samples, unpack_blocks
from shared.contracts.words import SampleKind
from shared.errors import MalformedContractError

_FORMS = {2: ">h", 4: ">i", 8: ">q"}


def read_copy(data: bytes) -> Iterator[tuple[bytes | None, ...]]:
    """Read a binary COPY by its own description, not by ours."""
    assert data.startswith(COPY_HEADER)
    place = len(COPY_HEADER)
    while True:
        (fields,) = struct.unpack_from(">h", data, place)
        place += 2
        if fields == -1:
            assert place == len(data)
            return
        row: list[bytes | None] = []
        for _ in range(fields):
            (length,) = struct.unpack_from(">i", data, place)
            place += 4
            row.append(None if length == -1 else data[place : place + length])
            place += max(length, 0)
        yield tuple(row)


def whole_number(data: bytes | None) -> int | None:
    return None if data is None else int(struct.unpack(_FORMS[len(data)], data)[0])


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    kind = draw(st.sampled_from(SampleKind))
    value = st.one_of(st.just(MISSING), st.integers(-(1 << 40), 1 << 40), st.integers(0, 250))
    return Sample(
        kind,
        draw(st.sampled_from(["55031412782305", "55031412782306"])),
        draw(st.integers(0, 99)),
        draw(st.one_of(st.none(), st.sampled_from([UUID(int=1), UUID(int=2)]))),
        draw(st.integers(0, 1 << 42)),
        tuple(draw(value) for _ in COLUMNS[kind]),
    )


@given(batches=st.lists(st.lists(samples(), min_size=1, max_size=20), min_size=1, max_size=3))
def test_every_sample_is_one_row_with_its_values(batches: list[list[Sample]]) -> None:
    numbers = {"55031412782305": 7, "55031412782306": 70_000}
    blocks = [block for batch in batches for block in unpack_blocks(pack_samples(batch))]
    unpacked = [each for each in read_blocks(blocks) if isinstance(each, Samples)]
    assert [each.kind for each in unpacked] == [block.kind for block in blocks]
    for kind in SampleKind:
        parts = [each for each in unpacked if each.kind is kind]
        wanted = sorted(
            expected(sample, numbers)
            for batch in batches
            for sample in batch
            if sample.kind is kind
        )
        if not parts:
            assert not wanted
            continue
        numbered = [(part, [numbers[no] for no, _ in part.connectors]) for part in parts]
        rows, _ = make_rows(numbered)
        got = sorted(
            repr((*map(whole_number, row[:4]), row[4], *map(whole_number, row[5:])))
            for row in read_copy(copy_bytes(rows))
        )
        assert len(copy_columns(kind)) == 5 + len(COLUMNS[kind])
        assert got == wanted


def expected(sample: Sample, numbers: dict[str, int]) -> str:
    def kept(name: str, value: int) -> int | None:
        fits = -(1 << 8 * width_of(name) - 1) <= value < 1 << 8 * width_of(name) - 1
        return value if fits and value != MISSING else None

    return repr(
        (
            sample.at_ms,
            numbers[sample.charge_point_no],
            sample.connector_no,
            KIND_CODES[sample.kind],
            sample.transaction_id.bytes if sample.transaction_id else None,
            *map(kept, COLUMNS[sample.kind], sample.values),
        )
    )


def test_an_index_outside_its_table_is_refused() -> None:
    sample = Sample(
        SampleKind.METER, "55", 1, UUID(int=1), 1, (0,) * len(COLUMNS[SampleKind.METER])
    )
    [block] = unpack_blocks(pack_samples([sample]))
    for broken in (
        structs.replace(block, connectors=()),
        structs.replace(block, transaction_ids=b""),
        structs.replace(block, connectors=(("5" * 65, 1),)),
        structs.replace(block, connectors=(("55", 40_000),)),
    ):
        # One bad block spoils none beside it.
        before, bad, after = read_blocks([block, broken, block])
        assert isinstance(bad, MalformedContractError)
        assert isinstance(before, Samples)
        assert isinstance(after, Samples)


def test_the_table_has_every_value_of_every_kind() -> None:
    assert set(VALUE_COLUMNS) == {name for kind in SampleKind for name in COLUMNS[kind]}
    assert list(KIND_CODES) == list(SampleKind)
