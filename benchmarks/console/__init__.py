"""Measure the console beside a database of years, and the receiver beside open consoles."""
