"""Drivers: each turns one kind of device into reports, and wishes into what the device knows."""
