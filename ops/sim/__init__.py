"""Simulated charge points and cars over real TCP: for the demo, tests, benches and newcomers."""
