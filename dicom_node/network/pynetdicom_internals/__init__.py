"""Everything that uses private parts of pynetdicom, with a guard of the tested versions."""
