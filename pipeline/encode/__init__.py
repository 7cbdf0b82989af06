"""From an analysis to DICOM objects."""
