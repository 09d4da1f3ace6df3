"""What a run will need, before it is begun: its settings as they are resolved, memory, time and disk."""
