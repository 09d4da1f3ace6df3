"""Proof of the room `evaluation`."""
