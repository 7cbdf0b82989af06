"""Records to answer with: software, models, results without identity, and the pack of all of it."""
