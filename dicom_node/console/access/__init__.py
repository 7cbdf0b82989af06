"""Access to the console: users, passwords, and what no browser of theirs would send."""
