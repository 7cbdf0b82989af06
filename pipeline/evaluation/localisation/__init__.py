"""Evaluation of lesion localisation."""
