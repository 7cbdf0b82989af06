"""Evaluation of networks: figures under their right names, tables, reports."""
