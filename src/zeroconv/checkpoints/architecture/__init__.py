"""Shapes of tensors to architectures."""
