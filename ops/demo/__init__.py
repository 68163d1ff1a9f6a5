"""`vw demo`: HQ, two stations and their simulated devices as real processes on this machine."""
