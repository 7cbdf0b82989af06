"""Storage of files and database rows, without knowledge of DICOM or the network."""
