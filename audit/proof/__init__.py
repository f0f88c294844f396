"""Proof: tree, checkpoints, receipts, witnesses, public tiles, and the walk over it."""
