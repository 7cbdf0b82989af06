"""Compare a second model with the one in use on the same series, and say if it may follow it."""
