"""Audit messages of DICOM (PS3.15 A.5), and their transport to a syslog server."""
