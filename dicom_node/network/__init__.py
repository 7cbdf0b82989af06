"""Associations, queries, TLS and the tables of DICOM networking."""
