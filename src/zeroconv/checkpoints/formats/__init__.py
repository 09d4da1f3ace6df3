"""What a file of weights is, and its settings and tensors in the layout of diffusers."""
