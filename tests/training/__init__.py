"""Proof of the room `training`."""
