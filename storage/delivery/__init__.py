"""Outbox, storage commitment, and capabilities of destinations."""
