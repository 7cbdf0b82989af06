"""Benchmarks of receiving and sending, beside others on the same machine."""
