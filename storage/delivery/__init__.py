"""Outbox, commitments and capabilities of destinations."""
