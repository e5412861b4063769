"""Divisions, departments and islands: pure decisions from observed and desired state."""
