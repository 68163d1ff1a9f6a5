"""Views onto cells: each painter takes a view and a size and returns a frame of that size."""
