"""Sensors and outputs on Modbus lines: profiles, polling, coils."""
