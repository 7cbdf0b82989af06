"""Views: the state of the node, and the cost of waiting, as commands show them."""
