"""Segment the lungs by three methods, and judge them by quality gates."""
