"""Fairness: how a model treats groups of people, measured with intervals that hold and tests that are tests."""
