"""Other programs that show runs: TensorBoard, Weights & Biases, trackio."""
