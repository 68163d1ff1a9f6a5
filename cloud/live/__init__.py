"""What is going on now: latest values and presence in Redis, fanned out to whoever looks."""
