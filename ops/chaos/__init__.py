"""`vw chaos`: break real processes on purpose and count what was lost."""
