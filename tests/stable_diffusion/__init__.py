"""Proof of the room `stable_diffusion`."""
