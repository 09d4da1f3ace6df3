"""The procedure behind a number: metric, features, resizer, weights, how many pictures. A figure without it is no result."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Self

from zeroconv.evaluation.features.extractor import FeatureExtractor
from zeroconv.metrics.bootstrap import Interval

__all__ = ["Measurement", "Procedure", "library_versions"]

LIBRARIES = ("zeroconv", "torch", "numpy", "pillow", "transformers")
"""Packages whose release can change the last digits, or more."""


@dataclass(frozen=True, kw_only=True)
class Procedure:
    """How a number came about; two numbers are comparable when everything but the weights' path is equal.

    Attributes:
        metric: such as "frechet", with its formula in `zeroconv.metrics`.
        features: the extractor's name.
        dimension: of the features.
        resizer: how pictures were brought to the network's size.
        weights: the network's weights, as they were called.
        sha256: of their file.
        counts: how many pictures (or texts) of each kind, such as {"found": 5000, "wanted": 5000}.
        settings: of the metric, such as {"biased": False}.
        versions: of the libraries.
    """

    metric: str
    features: str
    dimension: int
    resizer: str
    weights: str
    sha256: str
    counts: Mapping[str, int]
    settings: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, metric: str, extractor: FeatureExtractor, counts: Mapping[str, int], **settings: Any) -> Self:
        """Of features that were just extracted.

        Args:
            metric: its name.
            extractor: what made the features.
            counts: how many pictures of each kind.
            **settings: of the metric.
        """
        return cls(
            metric=metric,
            features=extractor.name,
            dimension=extractor.dimension,
            resizer=extractor.resizer,
            weights=extractor.weights,
            sha256=extractor.sha256,
            counts=dict(counts),
            settings=settings,
            versions=library_versions(),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plain = {name: getattr(self, name) for name in ("metric", "features", "dimension", "resizer", "weights", "sha256")}
        return {**plain, **{name: dict(getattr(self, name)) for name in ("counts", "settings", "versions")}}

    def comparable(self, other: "Procedure") -> bool:
        """Whether figures of both may stand in one column: all is equal but where the weights lay and the releases."""
        apart = ("weights", "versions")
        mine, others = ({k: v for k, v in one.to_dict().items() if k not in apart} for one in (self, other))
        return mine == others


@dataclass(frozen=True)
class Measurement:
    """A number with the procedure it came about by.

    Attributes:
        value: the number, with an interval where there is an honest one.
        procedure: how it came about.
    """

    value: float | Interval
    procedure: Procedure

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        value = self.value.to_dict() if isinstance(self.value, Interval) else {"value": self.value}
        return {**value, "procedure": self.procedure.to_dict()}

    def __str__(self) -> str:
        return str(self.value) if isinstance(self.value, Interval) else f"{self.value:.3f}"


def library_versions() -> dict[str, str]:
    """Releases of the packages that a number depends on; those that are not installed are left out."""
    found: dict[str, str] = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
