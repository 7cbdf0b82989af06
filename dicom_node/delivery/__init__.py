"""Send results to destinations, retry, and have them committed to."""
