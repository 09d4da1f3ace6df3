"""Proof of the room `checkpoints/keys`."""
