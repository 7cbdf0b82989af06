"""How good the networks are: figures with their right names, tables, reports."""
