"""Metrics of features with the procedure they came about by: what `zeroconv.metrics` computes, ready for a report."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from zeroconv.errors import InputError
from zeroconv.evaluation.features.clip import AestheticHead
from zeroconv.evaluation.features.extractor import FeatureExtractor, ImageTextExtractor, Rows
from zeroconv.evaluation.features.procedure import Measurement, Procedure
from zeroconv.metrics.bootstrap import Interval, bootstrap_mean
from zeroconv.metrics.diversity import prompt_diversity, vendi_score
from zeroconv.metrics.frechet import frechet_distance_of
from zeroconv.metrics.image_text import aesthetic_scores, clip_scores
from zeroconv.metrics.kernel_distance import cmmd, kid
from zeroconv.metrics.sliced_wasserstein import sliced_wasserstein

__all__ = [
    "DISTANCES",
    "measure_aesthetic_score",
    "measure_clip_score",
    "measure_distance",
    "measure_diversity",
    "measure_vendi_score",
]

DISTANCES: Mapping[str, tuple[Callable[..., float | Interval], Mapping[str, Any]]] = {
    "frechet": (frechet_distance_of, {}),
    "kid": (kid, {"biased": False}),
    "cmmd": (cmmd, {"biased": False}),
    "sliced-wasserstein": (sliced_wasserstein, {"projections": 1000, "order": 2.0, "seed": 0}),
}
"""Distances of two sets by name, with their settings: FID is "frechet" on Inception's features, CMMD "cmmd" on CLIP's."""


def measure_distance(
    metric: str, found: ArrayLike, wanted: ArrayLike, extractor: FeatureExtractor, **settings: Any
) -> Measurement:
    """The distance of two sets of pictures.

    Args:
        metric: one of `DISTANCES`.
        found: (N, D) features of pictures that were made.
        wanted: (M, D) features of real ones.
        extractor: what made the features.
        **settings: of the metric, other than its own.

    Raises:
        InputError: for an unknown metric or setting, or features that cannot be compared.
    """
    if metric not in DISTANCES:
        raise InputError(f"the metric is {metric!r}; expected one of {', '.join(DISTANCES)}", field="metric")
    function, own = DISTANCES[metric]
    if unknown := settings.keys() - own.keys():
        known = ", ".join(own) or "none"
        raise InputError(f"{metric} has no setting {sorted(unknown)[0]!r}; expected {known}", field="settings")
    settings = {**own, **settings}
    value = function(found, wanted, **settings)
    counts = {"found": np.shape(found)[0], "wanted": np.shape(wanted)[0]}
    return Measurement(value, Procedure.of(metric, extractor, counts, **settings))


def measure_clip_score(images: Rows, texts: Rows, extractor: ImageTextExtractor) -> Measurement:
    """The mean CLIP score of pictures and their prompts, 0 to 100, and its interval over the pictures.

    Args:
        images: (N, D) embeddings of pictures.
        texts: (N, D) of their prompts.
        extractor: what made both.

    Raises:
        InputError: as `metrics.image_text.clip_scores`.
    """
    scores = clip_scores(images, texts)
    return Measurement(bootstrap_mean(list(scores)), Procedure.of("clip-score", extractor, {"pairs": len(scores)}))


def measure_aesthetic_score(images: Rows, head: AestheticHead, extractor: FeatureExtractor) -> Measurement:
    """The mean aesthetic score of pictures, about 1 to 10 with LAION's heads, and its interval over the pictures.

    Args:
        images: (N, D) embeddings of pictures by the CLIP of the head.
        head: the linear head.
        extractor: what made the embeddings.

    Raises:
        InputError: as `metrics.image_text.aesthetic_scores`.
    """
    scores = aesthetic_scores(images, head.weight, head.bias)
    procedure = Procedure.of("aesthetic-score", extractor, {"found": len(scores)}, head=head.weights, head_sha256=head.sha256)
    return Measurement(bootstrap_mean(list(scores)), procedure)


def measure_diversity(features: Rows, prompts: Sequence[Hashable], extractor: FeatureExtractor) -> Measurement:
    """How different the pictures of one prompt are: mean cosine distance of pairs, and its interval over the prompts.

    Args:
        features: (N, D) of pictures.
        prompts: the prompt of each.
        extractor: what made the features.

    Raises:
        InputError: as `metrics.diversity.prompt_diversity`.
    """
    counts = {"found": len(prompts), "prompts": len(set(prompts))}
    return Measurement(prompt_diversity(features, prompts), Procedure.of("prompt-diversity", extractor, counts))


def measure_vendi_score(features: Rows, extractor: FeatureExtractor) -> Measurement:
    """The effective number of different pictures, 1 to N.

    Args:
        features: (N, D) of pictures.
        extractor: what made the features.

    Raises:
        InputError: as `metrics.diversity.vendi_score`.
    """
    return Measurement(vendi_score(features), Procedure.of("vendi-score", extractor, {"found": len(features)}))
