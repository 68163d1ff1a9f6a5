"""The station's durable store: state that survives a crash, and facts until HQ has them."""

from __future__ import annotations

from edge.journal.journal import Journal
from edge.journal.store import Batch, Change, Delete, Put

__all__ = ["Batch", "Change", "Delete", "Journal", "Put"]
