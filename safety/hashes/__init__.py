"""Hash lists: perceptual hashes, exact lookup, exchange formats."""
