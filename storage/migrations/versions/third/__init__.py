"""Migrations from 0031 on, in the order of their numbers; 0016 to 0030 are in the folder beside."""
