"""Proof of `evaluation.protocols`."""
