"""What a training step computes in and keeps: types of weights, the locked base, recomputation, the loss scale."""
