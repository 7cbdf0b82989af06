"""Dispatch closed series to the engine, analyse them in a worker, keep the results."""
