"""What both tiers must agree on: words, units, arithmetic and the contracts on the wire.

Imports nothing of `edge`, `cloud` or `ops`, and nothing that only one tier installs.
"""
