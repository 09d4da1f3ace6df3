"""Shapes, light and cameras of the tiny world."""
