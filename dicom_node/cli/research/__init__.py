"""Commands that train, calibrate, evaluate, compare and show models."""
