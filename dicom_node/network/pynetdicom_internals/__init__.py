"""All use of private parts of pynetdicom, with the guard of the versions it was tested with."""
