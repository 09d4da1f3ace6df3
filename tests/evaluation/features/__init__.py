"""Features and procedures."""
