"""The station's link to HQ: sealed batches up, acknowledgements and commands down."""

from __future__ import annotations

from edge.uplink.link import Link, LinkSettings, LinkState

__all__ = ["Link", "LinkSettings", "LinkState"]
