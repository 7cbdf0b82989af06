"""Tasks that workers run, and the messages between them and the node."""
