"""Feedback at the console: what readers answer, and the figures of a site that follow."""
