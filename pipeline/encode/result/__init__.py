"""Kinds, codes, products, identity and context of results."""
