"""Requests, approvals and the ledger: pure decisions."""
