"""All use of private parts of pynetdicom, behind one version guard."""
