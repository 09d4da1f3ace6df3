"""Bytes to tensors and back: guarded reading, atomic writing."""
