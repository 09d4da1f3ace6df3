"""How well pictures fit their prompts, and how pleasing they are, from CLIP's embeddings: one number for each picture."""

import numpy as np
from numpy.typing import ArrayLike

from zeroconv.errors import InputError
from zeroconv.metrics.features import Features, as_features, as_pair, unit_rows

__all__ = ["aesthetic_scores", "clip_scores", "retrieval_accuracy"]


def clip_scores(images: ArrayLike, texts: ArrayLike) -> Features:
    """CLIP score of each pair, `100 max(cos(E_I, E_T), 0)`: (N,) in [0, 100].

    J. Hessel et al., "CLIPScore: a reference-free evaluation metric for image captioning", 2021,
    https://arxiv.org/abs/2104.08718, which has 2.5 in place of 100; tables of the field print it divided by 100 too.

    Args:
        images: (N, D) embeddings of pictures, of any length.
        texts: (N, D) of their prompts, in the same order.

    Raises:
        InputError: for other shapes, values that are not finite, or an embedding that is zero.
    """
    a, b = unit_pairs(images, texts)
    return 100 * np.maximum((a * b).sum(1), 0)


def aesthetic_scores(images: ArrayLike, weight: ArrayLike, bias: float) -> Features:
    """A linear head's score of each picture, `wᵀE_I / |E_I| + b`: (N,); LAION's heads give about 1 to 10.

    C. Schuhmann, "LAION-Aesthetics", 2022, https://laion.ai/blog/laion-aesthetics/

    Args:
        images: (N, D) embeddings of the CLIP that the head was trained on, of any length.
        weight: (D,).
        bias: b.

    Raises:
        InputError: for other shapes, values that are not finite, or an embedding that is zero.
    """
    a = as_features(images, "images")
    w = np.asarray(weight, np.float64).ravel()
    if len(w) != a.shape[1]:
        said = f"the head is for embeddings of {len(w)} dimensions, the pictures have {a.shape[1]}; expected one CLIP for both"
        raise InputError(said, field="weight")
    return unit_rows(a, "images") @ w + bias


def retrieval_accuracy(images: ArrayLike, texts: ArrayLike) -> tuple[float, float]:
    """How often a picture's own text is the nearest of all, and a text's own picture: two shares in [0, 1].

    Args:
        images: (N, D) embeddings of N pictures.
        texts: (N, D) of their texts, in the same order. Texts that are equal count as found when one of them is.

    Raises:
        InputError: as `clip_scores`.
    """
    a, b = unit_pairs(images, texts)
    similarity = a @ b.T  # (pictures, texts)
    own = np.diag(similarity)
    return float((similarity.max(1) <= own).mean()), float((similarity.max(0) <= own).mean())


def unit_pairs(images: ArrayLike, texts: ArrayLike) -> tuple[Features, Features]:
    """Embeddings of length 1, row by row of one picture and its text; errors as `clip_scores`."""
    a, b = as_pair(images, texts, 1, ("images", "texts"))
    if len(a) != len(b):
        raise InputError(f"got {len(a)} pictures and {len(b)} texts; expected one text for each picture", field="texts")
    return unit_rows(a, "images"), unit_rows(b, "texts")
