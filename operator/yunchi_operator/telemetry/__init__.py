"""Metrics, health and events."""
