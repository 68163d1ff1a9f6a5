"""Prices: versions of a station's tariff, and which charge point holds which."""
