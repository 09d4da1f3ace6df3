"""Proof of the room `checkpoints/files`."""
