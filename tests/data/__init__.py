"""Proof of the room `data`."""
