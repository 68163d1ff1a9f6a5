"""One pure rule a file: what it looks at, its limits, and what it says."""
