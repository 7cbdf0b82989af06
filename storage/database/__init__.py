"""Engine, sessions and tables."""
