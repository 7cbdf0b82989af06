"""What is kept: files and rows. It knows neither DICOM nor the network."""
