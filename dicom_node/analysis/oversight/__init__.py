"""Oversight of the model in use: whether it may analyse, and a second one beside it."""
