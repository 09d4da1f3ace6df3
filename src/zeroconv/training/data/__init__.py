"""From pairs to batches: which pairs are trained on, in which order, and what a step is given of them."""
