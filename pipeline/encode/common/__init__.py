"""Modules, segments, frames and sentences that several result objects share."""
