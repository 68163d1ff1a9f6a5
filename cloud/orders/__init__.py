"""Charging orders: the commercial account of one transaction, from wish to bill."""
