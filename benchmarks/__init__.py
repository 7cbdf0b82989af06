"""How fast the node receives and sends, beside others on the same machine."""
