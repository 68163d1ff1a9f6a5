"""Reading the station's own stored state: one entry that cannot be read costs only itself."""

from __future__ import annotations

import logging
from typing import TypeVar

import msgspec

logger = logging.getLogger(__name__)

T = TypeVar("T")


def decode_one(blobs: dict[str, bytes], key: str, kind: type[T]) -> T | None:
    """Return what one blob holds; None when it is not there or cannot be read."""
    return decode_all({key: blobs[key]}, kind).get(key) if key in blobs else None


def decode_all(blobs: dict[str, bytes], kind: type[T]) -> dict[str, T]:
    """Return what the blobs hold by key; what cannot be read is logged and left out."""
    decoder = msgspec.msgpack.Decoder(kind)
    found: dict[str, T] = {}
    for key, blob in blobs.items():
        try:
            found[key] = decoder.decode(blob)
        except msgspec.MsgspecError as error:
            logger.error("stored %s not read key=%s: %s", kind.__name__, key, error)
    return found
