"""Slow twins: short, plain and independent of the code that they check."""
