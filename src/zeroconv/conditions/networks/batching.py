"""Several pictures through a network at once."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

__all__ = ["run_in_batches"]

PIXELS = 2**21  # seen at once at most: eight pictures of 512 x 512


def run_in_batches(pictures: Sequence[Tensor], run: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """What a network answers to each picture; those of one shape are seen together.

    Args:
        pictures: each (1, C, H, W).
        run: answers (B, C, H, W) with a tensor whose first dimension is B.

    Returns:
        An answer for each picture, its first dimension 1.
    """
    shapes: dict[torch.Size, list[int]] = {}
    for index, picture in enumerate(pictures):
        shapes.setdefault(picture.shape, []).append(index)
    answers: dict[int, Tensor] = {}
    for shape, members in shapes.items():
        most = max(1, PIXELS // (shape[2] * shape[3]))
        for first in range(0, len(members), most):
            batch = members[first : first + most]
            answers |= zip(batch, run(torch.cat([pictures[i] for i in batch])).split(1), strict=True)
    return [answers[index] for index in range(len(pictures))]
