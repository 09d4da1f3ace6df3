"""What is known of a run while it goes: fidelity on held-out pairs, sudden convergence, and why nothing is learnt."""
