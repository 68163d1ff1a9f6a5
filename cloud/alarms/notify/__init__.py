"""Notices: who is told of which alarm, over which channel, again until somebody has seen it."""
