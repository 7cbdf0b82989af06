"""DICOM networking: associations, queries, TLS, message formats and status codes."""
