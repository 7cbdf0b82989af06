"""Check of outgoing objects against their IOD and their source."""
