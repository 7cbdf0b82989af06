"""Pages of the console, and their routes."""
