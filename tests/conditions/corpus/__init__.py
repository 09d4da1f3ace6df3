"""Right and wrong maps of every condition, several hundred of each."""
