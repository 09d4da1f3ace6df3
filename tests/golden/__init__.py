"""Proof against the numbers of the authors' network."""
