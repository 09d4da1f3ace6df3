"""Proof of the room `checkpoints/architecture`."""
