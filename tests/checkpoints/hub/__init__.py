"""Proof of the room `checkpoints/hub`."""
