"""Proof of the room `cli`."""
