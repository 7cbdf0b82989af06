"""Files of the node for workers that do not see its storage folder."""
