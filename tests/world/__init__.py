"""Proof of the room `world`."""
