"""Migrations from 0031 on, in the order of their numbers; the earlier ones are beside and above."""
