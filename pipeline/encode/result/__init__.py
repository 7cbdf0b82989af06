"""Kinds, codes, identity and context of results."""
