"""The YKC protocol (V1.5, V1.6 and vendor supersets): pure code, no I/O and no clock."""
