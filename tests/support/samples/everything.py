"""Products of every kind."""

from pipeline.encode.result.products import Products

EVERYTHING = Products(summary_pdf=True, parametric_map=True, key_images=True)
