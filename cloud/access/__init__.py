"""Who may charge: tokens, their limits, and the lists that stations keep for off-line hours."""
