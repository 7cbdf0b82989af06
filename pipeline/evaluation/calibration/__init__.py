"""Temperature, operating points and prediction sets fitted to scores."""
