"""Enlarging: the size of a larger picture that a base can make."""

from zeroconv.errors import InputError

__all__ = ["enlarged_size"]

MOST = 8
"""Times the sides; beyond it nothing of the picture is left to go by."""


def enlarged_size(size: tuple[int, int], factor: float, unit: int = 8) -> tuple[int, int]:
    """Width and height of an enlarged picture: at least `factor` times as large, in multiples of `unit`.

    Args:
        size: of the picture, in pixels.
        factor: of its sides, 1 … 8.
        unit: of the base's sizes, `StableDiffusion.vae_scale_factor`.

    Raises:
        InputError: for a factor out of range.
    """
    if not 1 <= factor <= MOST:
        raise InputError(f"factor is {factor:g}; expected 1 to {MOST}", field="factor")
    width, height = (unit * -(-round(side * factor) // unit) for side in size)
    return width, height
