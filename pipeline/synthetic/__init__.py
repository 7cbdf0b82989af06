"""Synthetic chest CT: phantoms, and diseases painted into lungs."""
