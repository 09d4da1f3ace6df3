"""Surfaces that existing programs speak: AUTOMATIC1111's with its ControlNet extension, and OpenAI's, over the same queue."""

from zeroconv.web.compatible.surfaces import add_compatible_routes, compatible_body

__all__ = ["add_compatible_routes", "compatible_body"]
