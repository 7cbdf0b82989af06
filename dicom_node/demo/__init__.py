"""A stand-in PACS and the pictures that the demo shows."""
