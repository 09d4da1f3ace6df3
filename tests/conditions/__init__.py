"""Proof of the room `conditions`."""
