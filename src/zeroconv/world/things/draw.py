"""Random choices of a scene. The order in which they are drawn *is* the scene: never reorder them."""

from collections.abc import MutableSequence, Sequence
from typing import Any, TypeVar

import numpy as np

from zeroconv.world.geometry.palette import COLOUR_NAMES, COLOURS, linear
from zeroconv.world.geometry.vectors import Floats

T = TypeVar("T")


class Draw:
    """A seeded stream of choices (`numpy.random.RandomState`, whose stream is frozen for ever)."""

    def __init__(self, seed: int) -> None:
        """Start the stream of `seed`, 0 <= seed < 2 ** 32."""
        self._random = np.random.RandomState(seed)

    def copy(self) -> "Draw":
        """A second stream that goes on from here."""
        other = Draw(0)
        other._random.set_state(self._random.get_state(legacy=False))
        return other

    def uniform(self, low: float, high: float) -> float:
        """A number in [low, high)."""
        return float(self._random.uniform(low, high))

    def normal(self, spread: float) -> float:
        """A number from the normal distribution about 0 with standard deviation `spread`."""
        return float(self._random.normal(0, spread))

    def share(self) -> float:
        """A number in [0, 1)."""
        return float(self._random.rand())

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.share() < probability

    def integer(self, low: int, high: int) -> int:
        """An integer in [low, high)."""
        return int(self._random.randint(low, high))

    def pick(self, options: Sequence[T], weights: Sequence[float] | None = None) -> T:
        """One of the options; `weights` are probabilities that add up to 1."""
        return options[int(self._random.choice(len(options), p=weights))]

    def pick_colour(self) -> str:
        """One of the colour words."""
        return self.pick(COLOUR_NAMES)

    def shuffle(self, items: MutableSequence[Any]) -> None:
        """Bring the items into a random order, in place."""
        self._random.shuffle(items)

    def tint(self, name: str) -> Floats:
        """A linear colour (3,) float32 near the named one: hue and brightness vary a little."""
        spread = 0.07
        hue, brightness = self._random.normal(0, spread, 3), self._random.normal(0, spread)
        return (linear(COLOURS[name]) * np.exp(hue * 0.6 + brightness)).astype(np.float32)
