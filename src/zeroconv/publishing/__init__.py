"""A network shown to others: its model card, and the hub."""
