"""What stands in a scene of the tiny world."""
