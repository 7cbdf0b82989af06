"""Lobes of the lungs, by the fissures between them."""
