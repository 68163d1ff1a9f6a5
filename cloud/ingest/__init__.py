"""Uplink batches in, committed facts out: inbox, handlers, acknowledgement. Knows no slice."""
