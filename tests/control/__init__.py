"""Proof of the room `control`."""
