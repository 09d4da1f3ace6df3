"""Skeletons: joints, their drawing, their JSON."""
