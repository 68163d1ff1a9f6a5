"""Simulated Modbus devices of a station: detectors, meters, relays, and the fire they notice."""
