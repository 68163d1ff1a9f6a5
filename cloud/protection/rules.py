"""What differs between two documents, and what a binding may name. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from enum import StrEnum
from typing import Any

from msgspec import Struct

from cloud.core.errors import BusinessError
from cloud.protection.reasons import reason_of
from shared.contracts.protection import OutputKind, Protection

IDENTITIES = ("rule_id", "cause", "name", "name_en")
"""What entries of a document's lists are known by, the first that they have."""
_SOUNDS = frozenset({OutputKind.SIREN, OutputKind.STROBE, OutputKind.SPEAKER})
STATION = "station"


class InvalidDocumentError(BusinessError):
    """A document that a station could not use; `errors` has the path of the first wrong field."""

    status = 422
    code = "invalid_protection"

    def __init__(self, path: str, why: str) -> None:
        error = {
            "pointer": f"/{path}",
            "code": "invalid_protection",
            "reason": reason_of(why).code,
            "message": why,
        }
        super().__init__(f"{path}: {why}", field=path, errors=[error])
        self.path, self.why = path, why


class BoundKind(StrEnum):
    """What is bound to a place."""

    CAMERA = "camera"
    SIREN = "siren"
    SCREEN = "screen"


class Binding(Struct, frozen=True):
    """A camera, siren or screen belongs to `station`, `zone:NAME` or `charge_point:NO`."""

    kind: BoundKind
    name: str
    target: str


class Change(Struct, frozen=True):
    """One value that differs; "" where there is none."""

    path: str
    before: Any
    after: Any


def differences(before: Any, after: Any, path: str = "") -> Iterator[Change]:
    """Yield what differs between two documents as data, by path.

    Entries of lists are known by what names them, so that one put in between is one change.
    """
    if isinstance(before, list) and isinstance(after, list):
        named = _by_name(before), _by_name(after)
        if named[0] is not None and named[1] is not None:
            yield from _of_tables(named[0], named[1], path, "{}[{}]")
            return
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _of_tables(before, after, path, "{}.{}")
    elif before != after:
        yield Change(path, before, after)


def check_binding(
    binding: Binding, protection: Protection, charge_point_nos: Collection[str], at: str
) -> None:
    """Check that a binding names what there is. Raises InvalidDocumentError."""
    kind, _, name = binding.target.partition(":")
    zones = {zone.name for zone in protection.zones}
    known = (
        (kind == STATION and not name)
        or (kind == "zone" and name in zones)
        or (kind == "charge_point" and name in charge_point_nos)
    )
    if not known:
        raise InvalidDocumentError(
            f"{at}.target", "use station, zone:NAME or charge_point:NO of what there is"
        )
    sirens = {output.name for output in protection.outputs if output.kind in _SOUNDS}
    if binding.kind is BoundKind.SIREN and binding.name not in sirens:
        raise InvalidDocumentError(f"{at}.name", "no siren, strobe or speaker of the document")


def _of_tables(
    before: dict[str, Any], after: dict[str, Any], path: str, form: str
) -> Iterator[Change]:
    for key in dict.fromkeys([*before, *after]):
        inner = form.format(path, key).lstrip(".")
        yield from differences(before.get(key, ""), after.get(key, ""), inner)


def _by_name(entries: list[Any]) -> dict[str, Any] | None:
    """Return the entries by what names them, None where nothing does."""
    if not all(isinstance(entry, dict) for entry in entries):
        return None
    for key in IDENTITIES:
        if all(key in entry for entry in entries):
            found = {str(entry[key]): entry for entry in entries}
            return found if len(found) == len(entries) else None
    return None
