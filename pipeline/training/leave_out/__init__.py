"""Trainings that leave one group of cases out, and are tested on it."""
