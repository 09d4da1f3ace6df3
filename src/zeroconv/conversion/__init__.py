"""A file in one layout to a file in another."""
