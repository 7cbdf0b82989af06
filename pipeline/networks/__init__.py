"""The networks, one file each, shapes on the lines."""
