"""The JSON API of the console, for programs: it only reads, and names no patient."""
