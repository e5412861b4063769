"""Kopf registrations, one module per kind: parse, decide, apply."""
