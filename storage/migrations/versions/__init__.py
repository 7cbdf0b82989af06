"""One module per revision; the first line of each says what it changes."""
