"""The baselines of `experiments/baselines`."""
