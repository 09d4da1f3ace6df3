"""Locked networks run faster, with the same results: weights packed once, nothing computed twice."""
