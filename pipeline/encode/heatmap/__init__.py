"""Heatmap series and Parametric Map."""
