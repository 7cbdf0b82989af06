"""Classifier input, score, activation map and prediction set."""
