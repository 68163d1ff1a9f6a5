"""Charge points: the gateway, the protocols, and the words between them and the station."""
