"""Model folders: manifest, weights, import, verification, memory."""
