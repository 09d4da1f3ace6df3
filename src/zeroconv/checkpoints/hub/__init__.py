"""Names to folders: embedded weights, paths, and the Hugging Face hub."""
