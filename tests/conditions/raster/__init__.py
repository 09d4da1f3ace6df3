"""Proof of the room `conditions/raster`."""
