"""Synthetic chests as volumes and DICOM series."""
