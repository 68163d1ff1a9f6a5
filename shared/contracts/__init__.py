"""The messages between a station and HQ. Additive changes only; see `../README.md`."""
