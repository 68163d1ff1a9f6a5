"""The loudspeaker of the station's own computer: recordings in zh and en, and who plays them."""
