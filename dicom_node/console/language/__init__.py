"""Languages of the console: the browser asks for one, or its user chooses."""
