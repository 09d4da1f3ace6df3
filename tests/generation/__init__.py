"""Proof of the room `generation`."""
