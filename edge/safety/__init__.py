"""Safety: pure rules, and an engine that acts on them before anything touches a disk."""
