"""Case lists of training and evaluation; preparation of their cases."""
