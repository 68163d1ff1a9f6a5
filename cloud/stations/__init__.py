"""Operators, stations, charge points, connectors: what exists, and how a station learns of it."""
