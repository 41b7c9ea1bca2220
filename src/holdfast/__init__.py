"""Train language models privately, prove what leaked, and show it in one report."""
