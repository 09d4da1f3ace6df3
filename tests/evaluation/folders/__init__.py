"""Proof of `evaluation.folders`."""
