"""How weights move: the optimizers, the average of the weights, and which steps do what."""
