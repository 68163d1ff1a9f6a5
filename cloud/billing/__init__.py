"""Bills: what a transaction costs, from where, and how far the three figures agree."""
