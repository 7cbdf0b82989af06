"""Answers of readers to results, as documents of the PACS say them."""
