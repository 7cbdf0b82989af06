"""Texts of signed reports, read by rules: whether they name pneumonia or COVID-19, or deny it."""
