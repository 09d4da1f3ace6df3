"""Proof of the room `diffusion`."""
