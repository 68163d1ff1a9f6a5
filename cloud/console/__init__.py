"""HQ's overview page: what all slices below know of now, side by side. Owns no table."""
