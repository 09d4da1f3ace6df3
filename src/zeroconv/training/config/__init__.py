"""What a run is asked for: its settings in groups, their checks, and the values that follow from the base."""
