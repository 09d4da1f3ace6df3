"""Proof of the room `checkpoints/formats`."""
