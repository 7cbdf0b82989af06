"""From DICOM datasets to one CT volume: attributes, pixels, geometry, eligibility."""
