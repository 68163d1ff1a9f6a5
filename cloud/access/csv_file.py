"""Tokens as CSV, for spreadsheets: both ways, with an error for each cell that is wrong. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct
from pydantic import ValidationError

from cloud.access.models import AccessToken
from cloud.access.rules import SHAPES
from cloud.access.schemas import TokenCreate
from cloud.core.csv_export import FORMULA, MARK, csv_line
from cloud.core.errors import BusinessError
from shared.tokens import normalise

COLUMNS = (
    "kind",
    "value",
    "frozen",
    "limit_fen",
    "expires_at",
    "holder",
    "logical_card_no",
    "password_md5",
    "station_nos",
)
"""`password_md5` is read and never written; `station_nos` are separated by spaces."""
ROWS_MAX = 50_000
BYTES_MAX = 8 * 1024 * 1024
_ERRORS_MAX = 100
_WRITTEN = (*(name for name in COLUMNS if name != "password_md5"), "exposure_fen")


class RowError(Struct, frozen=True):
    """What is wrong, and where: lines count from 1, the header's."""

    line: int
    column: str
    message: str


class InvalidFileError(BusinessError):
    """The file cannot be imported; `errors` say which line and column, and why. None was taken."""

    status = 400
    code = "invalid_file"

    def __init__(self, errors: Sequence[RowError]) -> None:
        shown = [
            {"line": each.line, "column": each.column, "message": each.message}
            for each in errors[:_ERRORS_MAX]
        ]
        super().__init__(
            f"{len(errors)} cells are wrong; nothing was imported",
            errors=shown,
            error_count=len(errors),
        )


class Row(Struct, frozen=True):
    """One token of a file; `given` names the columns that were not empty."""

    line: int
    token: TokenCreate
    given: frozenset[str]


def read_tokens(data: bytes) -> list[Row]:
    """Read a file: comma, UTF-8 with or without mark, a header with `kind` and `value`.

    Raises:
        InvalidFileError: With all that is wrong, at most the first hundred shown.
    """
    if len(data) > BYTES_MAX:
        raise _refuse(1, "", f"{len(data)} bytes, at most {BYTES_MAX}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refuse(data[: error.start].count(b"\n") + 1, "", "not UTF-8") from error
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    _check_header(reader.fieldnames or ())
    rows: list[Row] = []
    errors: list[RowError] = []
    lines: dict[tuple[str, str], int] = {}
    try:
        for cells in reader:
            _read_row(reader.line_num, cells, rows, errors, lines)
            if len(rows) > ROWS_MAX:
                raise _refuse(reader.line_num, "", f"more than {ROWS_MAX} tokens")
    except csv.Error as error:
        errors.append(RowError(reader.reader.line_num, "", str(error)))
    if errors:
        raise InvalidFileError(errors)
    return rows


def header_line() -> bytes:
    """Return the first line of a file of tokens."""
    return MARK + csv_line(_WRITTEN)


def token_line(token: AccessToken, station_nos: Sequence[str], exposure_fen: int) -> bytes:
    """Return the line of a token, with the numbers of its stations; without its password."""
    values = token.model_dump(mode="json")
    values |= {"station_nos": list(station_nos), "exposure_fen": exposure_fen}
    return csv_line(_cell(values[name]) for name in _WRITTEN)


def _check_header(names: Sequence[str]) -> None:
    errors = [
        RowError(1, name, "is missing") for name in ("kind", "value") if name not in names
    ] + [
        RowError(1, name, f"is not one of {', '.join(COLUMNS)}")
        for name in names
        if name not in COLUMNS and name != "exposure_fen"
    ]
    if errors:
        raise InvalidFileError(errors)


def _read_row(
    line: int,
    cells: Mapping[str | Any, Any],
    rows: list[Row],
    errors: list[RowError],
    lines: dict[tuple[str, str], int],
) -> None:
    if None in cells:
        errors.append(RowError(line, "", "more cells than the header has"))
        return
    values = {name: _plain(cell.strip()) for name, cell in cells.items() if cell and cell.strip()}
    if not values:
        return
    values.pop("exposure_fen", None)
    wanted: dict[str, Any] = dict(values)
    if "station_nos" in wanted:
        wanted["station_nos"] = values["station_nos"].split()
    try:
        token = TokenCreate.model_validate(wanted)
    except ValidationError as error:
        errors += [
            RowError(line, str(each["loc"][0]), each["msg"])
            for each in error.errors(include_url=False)
        ]
        return
    value = normalise(token.kind, token.value)
    if not SHAPES[token.kind].match(value):
        errors.append(RowError(line, "value", f"{value!r} is no {token.kind} number"))
    elif (before := lines.setdefault((token.kind, value), line)) != line:
        errors.append(RowError(line, "value", f"stands in line {before} too"))
    rows.append(Row(line, token.model_copy(update={"value": value}), frozenset(values)))


def _refuse(line: int, column: str, message: str) -> InvalidFileError:
    return InvalidFileError([RowError(line, column, message)])


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else value


def _plain(cell: str) -> str:
    return cell[1:] if cell[:1] == "'" and cell[1:].startswith(FORMULA) else cell
