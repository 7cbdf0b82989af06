"""Encode an analysis as DICOM objects."""
