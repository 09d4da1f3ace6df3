"""What is compared: each recipe is the plain one but for the settings that it names."""

__all__ = ["CONDITIONS", "NORMALIZED", "RECIPES", "settings"]

CONDITIONS = {"canny": "tiny-depth", "depth": "tiny-canny"}
"""Conditions, each with the embedded ControlNet of another one from which a warm start begins."""

PLAIN: dict[str, object] = {"optimizer": "adamw", "timesteps": "uniform", "learning_rate": 1e-3}

RECIPES: dict[str, dict[str, object]] = {
    "plain": {},
    "ours": {"optimizer": "muon", "timesteps": "high-first"},
    "muon": {"optimizer": "muon"},
    "high-first": {"timesteps": "high-first"},
    "rate-3e-4": {"learning_rate": 3e-4},
    "rate-2e-3": {"learning_rate": 2e-3},
    "gaussian": {"connection": "gaussian"},
    "min-snr": {"min_snr_gamma": 5.0},
    "warm": {"control": "WARM"},
    "ours-warm": {"optimizer": "muon", "timesteps": "high-first", "control": "WARM"},
    "cross-normalization": {"connection": "gaussian"},
}
"""Recipes by name; WARM stands for the ControlNet of another condition."""

NORMALIZED = frozenset({"cross-normalization"})
"""Recipes whose residuals are brought to the base's mean and deviation (`cross_normalization`)."""


def settings(condition: str, recipe: str) -> dict[str, object]:
    """The settings of a recipe.

    Raises:
        KeyError: when there is no such recipe or condition.
    """
    chosen = PLAIN | RECIPES[recipe]
    return {key: CONDITIONS[condition] if value == "WARM" else value for key, value in chosen.items()}
