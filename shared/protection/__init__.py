"""The protection document: checked, named by its hash, and filled up with what is built in."""

from shared.protection.built_in import (
    BUILT_IN_INTERLOCKS,
    BUILT_IN_RULES,
    interlocks_of,
    rules_of,
)
from shared.protection.checks import check
from shared.protection.document import document_hash, load_file, read_tables
from shared.protection.words import unit_of

__all__ = [
    "BUILT_IN_INTERLOCKS",
    "BUILT_IN_RULES",
    "check",
    "document_hash",
    "interlocks_of",
    "load_file",
    "read_tables",
    "rules_of",
    "unit_of",
]
