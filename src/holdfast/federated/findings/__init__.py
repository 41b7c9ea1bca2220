"""What a simulation says: scores that can be put together, clients by decile, periods, and how much clients differ."""
