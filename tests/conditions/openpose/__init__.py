"""Proof of the room `conditions/openpose`."""
