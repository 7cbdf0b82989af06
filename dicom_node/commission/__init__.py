"""Acceptance of an installation: what is looked at, and the document that is signed."""
