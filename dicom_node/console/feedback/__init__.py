"""What readers say of results, and what follows from it for this site."""
