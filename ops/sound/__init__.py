"""Renders the recordings of the station's loudspeaker."""
