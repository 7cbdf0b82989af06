"""Compute engine: run tasks in worker processes of Dask, embedded or a fleet."""
