"""Case lists of training and evaluation, and how cases are prepared."""
