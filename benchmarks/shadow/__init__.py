"""Simulated patients whom two models score, to see how often the gate of a second model opens."""
