"""Read a protection document from a file, and name it by the hash of its content."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any

import msgspec
from msgspec import NODEFAULT, Struct, structs

from shared.contracts.protection import Protection
from shared.errors import ConfigError, ProtectionError
from shared.protection.checks import check


def document_hash(protection: Protection) -> str:
    """Return the SHA-256, in hex, of what a document says.

    Fields at their default are left out, so that both ends agree though one knows fields that
    the other does not know yet.
    """
    text = json.dumps(_canonical(protection), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _canonical(value: Any) -> Any:  # Any: a walk over every type of the contract
    if isinstance(value, Struct):
        said = {
            field.name: _canonical(getattr(value, field.name))
            for field in structs.fields(value)
            if field.default is NODEFAULT or getattr(value, field.name) != field.default
        }
        tag = value.__struct_config__.tag
        return said if tag is None else {"kind": tag, **said}
    if isinstance(value, tuple):
        return [_canonical(item) for item in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)  # 55 and 55.0 are one limit
    return value


def load_file(path: Path) -> Protection:
    """Read and check a document in TOML, with the fields of the contract.

    Raises:
        ConfigError: The file cannot be read, or a field is wrong; names file and field.
    """
    try:
        with path.open("rb") as file:
            return read_tables(tomllib.load(file))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: no TOML: {error}") from error
    except ProtectionError as error:
        raise ConfigError(f"{path}: {error}") from error


def read_tables(tables: Any) -> Protection:
    """Read and check a document that is plain data, as TOML and JSON give it.

    Raises:
        ProtectionError: The first wrong or unknown field, by its path; `document` for the whole.
    """
    try:
        protection = msgspec.convert(tables, Protection)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        raise ProtectionError(where.rstrip("`").lstrip(".") or "document", what) from error
    _no_unknown(tables, protection, "")
    check(protection)
    return protection


def _no_unknown(table: Any, read: Any, at: str) -> None:
    """Refuse fields that were passed over: in a file that people write, they are typing errors."""
    if isinstance(read, tuple):
        for index, (entry, item) in enumerate(zip(table, read, strict=True)):
            _no_unknown(entry, item, f"{at}[{index}]")
    elif isinstance(read, Struct):
        tag = read.__struct_config__.tag_field
        known = read.__struct_fields__
        for name, entry in table.items():
            path = f"{at}.{name}".lstrip(".")
            if name in known:
                _no_unknown(entry, getattr(read, name), path)
            elif name != tag:
                raise ProtectionError(path, f"unknown; known are {', '.join(sorted(known))}")
