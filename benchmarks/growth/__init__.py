"""The cost of an archive as it grows: size of the database, and what goes over it."""
