"""Every number carries how it came about, and keeps it through JSON."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from PIL import Image

from zeroconv.errors import InputError
from zeroconv.evaluation.features.clip import AestheticHead
from zeroconv.evaluation.features.extractor import ImageTextExtractor, Rows
from zeroconv.evaluation.features.measures import (
    DISTANCES,
    measure_aesthetic_score,
    measure_clip_score,
    measure_distance,
    measure_diversity,
    measure_vendi_score,
)
from zeroconv.metrics.bootstrap import Interval
from zeroconv.metrics.frechet import frechet_distance_of

pytestmark = pytest.mark.filterwarnings("ignore::zeroconv.messages.MessageWarning")


@dataclass(frozen=True)
class MeanColour:
    """The simplest extractor there is: of a picture its mean colour, of a text the numbers of its letters."""

    name: str = "mean-colour"
    dimension: int = 3
    resizer: str = "none"
    weights: str = "none"
    sha256: str = "0" * 64

    def extract(self, images: Sequence[Image.Image]) -> Rows:
        return np.stack([np.asarray(image, np.float32).mean((0, 1)) for image in images])

    def extract_texts(self, texts: Sequence[str]) -> Rows:
        return np.array([[len(text), text.count("a"), text.count("e")] for text in texts], np.float32)


EXTRACTOR: ImageTextExtractor = MeanColour()
A, B = (np.random.default_rng(seed).normal(seed, 1, (20 + seed, 3)).astype(np.float32) for seed in (0, 1))


@pytest.mark.parametrize("metric", DISTANCES)
def test_a_distance_through_json(metric: str) -> None:
    found = measure_distance(metric, A, B, EXTRACTOR)
    told = json.loads(json.dumps(found.to_dict()))
    assert told["value"] == (found.value.value if isinstance(found.value, Interval) else found.value)
    assert ("low" in told) == (metric in ("kid", "cmmd"))
    procedure = told["procedure"]
    assert procedure["metric"] == metric and procedure["features"] == "mean-colour"
    assert procedure["counts"] == {"found": 20, "wanted": 21}
    assert procedure["settings"] == DISTANCES[metric][1]
    assert {"torch", "numpy", "transformers"} <= procedure["versions"].keys()


def test_the_number_is_the_metrics() -> None:
    assert measure_distance("frechet", A, B, EXTRACTOR).value == frechet_distance_of(A, B)
    settings = {"projections": 10, "seed": 3}
    found = measure_distance("sliced-wasserstein", A, B, EXTRACTOR, **settings)
    assert found.procedure.settings == {"projections": 10, "seed": 3, "order": 2.0}


def test_what_may_stand_in_one_column() -> None:
    one = measure_distance("kid", A, B, EXTRACTOR).procedure
    assert one.comparable(replace(one, weights="elsewhere", versions={}))
    assert not one.comparable(replace(one, resizer="other"))
    assert not one.comparable(replace(one, counts={"found": 20, "wanted": 20}))
    assert not one.comparable(measure_distance("kid", A, B, EXTRACTOR, biased=True).procedure)


def test_scores_and_diversity_carry_theirs() -> None:
    texts = ["a tree", "a red house"]
    images = EXTRACTOR.extract([Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")])
    score = measure_clip_score(images, EXTRACTOR.extract_texts(texts), EXTRACTOR)
    assert score.procedure.counts == {"pairs": 2}
    head = AestheticHead(np.array([1.0, 0, 0]), 0.25, "head.safetensors", "f" * 64)
    aesthetic = measure_aesthetic_score(images, head, EXTRACTOR)
    assert isinstance(aesthetic.value, Interval) and aesthetic.value.value == pytest.approx(0.75)
    assert aesthetic.procedure.settings["head_sha256"] == "f" * 64
    diversity = measure_diversity(images, ["a", "a"], EXTRACTOR)
    assert isinstance(diversity.value, Interval) and diversity.value.value == pytest.approx(1)
    assert diversity.procedure.counts == {"found": 2, "prompts": 1}
    assert measure_vendi_score(images, EXTRACTOR).value == pytest.approx(2)
    assert str(score) == str(score.value) and str(measure_vendi_score(images, EXTRACTOR)) == "2.000"


def test_bad_input() -> None:
    with pytest.raises(InputError, match="expected one of frechet, kid, cmmd, sliced-wasserstein"):
        measure_distance("lpips", A, B, EXTRACTOR)
    with pytest.raises(InputError, match="kid has no setting 'subsets'; expected biased"):
        measure_distance("kid", A, B, EXTRACTOR, subsets=10)
