"""What a run leaves on disk: the folder, its lock, its checkpoints, its log, and the state inside them."""
