"""Proof of the room `checkpoints`."""
