"""Commands that copy, check, mend and remove what a node has stored."""
