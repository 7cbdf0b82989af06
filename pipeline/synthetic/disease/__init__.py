"""Opacities and other diseases painted into lungs."""
