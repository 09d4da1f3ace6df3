"""Proof of the room `conditions/networks`."""
