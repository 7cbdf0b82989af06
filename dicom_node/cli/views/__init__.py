"""What commands show: the state of the node, and what waiting has cost."""
