"""Self-test: a synthetic series goes the way of every other one, and is judged at its end."""
