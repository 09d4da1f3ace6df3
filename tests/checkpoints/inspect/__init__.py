"""Proof of the room `checkpoints/inspect`."""
