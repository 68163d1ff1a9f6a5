"""Samples by the million: packed columns from the wire go into daily partitions by COPY."""
