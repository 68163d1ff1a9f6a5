"""Alarms: what is wrong now, what was, and who saw it."""
