"""Instances whose rows were condensed into one of their series, after their files were removed."""
