"""Languages of the results, and the catalogues of their sentences."""
