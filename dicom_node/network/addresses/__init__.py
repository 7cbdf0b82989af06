"""Addresses: our own, those of networks that settings name, and what load balancers say."""
