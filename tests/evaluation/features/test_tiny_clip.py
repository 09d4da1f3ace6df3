"""The embedded CLIP: small, in the layout of transformers, and better than chance at what it was trained for."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPModel

from zeroconv.checkpoints import embedded_names
from zeroconv.checkpoints.hub.resolve import assets
from zeroconv.evaluation.features.clip import ClipExtractor, open_clip
from zeroconv.evaluation.features.extractor import ImageTextExtractor, Rows
from zeroconv.metrics.image_text import clip_scores, retrieval_accuracy
from zeroconv.world import HELD_OUT_SEED, Picture, make

SCENES = 12


@pytest.fixture(scope="module")
def clip() -> ClipExtractor:
    return open_clip("tiny-clip")


@pytest.fixture(scope="module")
def scenes() -> Sequence[Picture]:
    return [make(HELD_OUT_SEED + i) for i in range(SCENES)]


@pytest.fixture(scope="module")
def embedded(clip: ImageTextExtractor, scenes: Sequence[Picture]) -> tuple[Rows, Rows]:
    images = [Image.fromarray(scene.rgb) for scene in scenes]
    return clip.extract(images), clip.extract_texts([scene.caption for scene in scenes])


def test_it_is_small_and_has_a_name(clip: ClipExtractor) -> None:
    assert embedded_names("CLIP") == ["tiny-clip"] and "tiny-clip" not in embedded_names("ControlNet")
    assert sum(path.stat().st_size for path in (assets() / "tiny-clip").iterdir()) < 1.5e6
    assert (clip.name, clip.dimension, clip.weights) == ("clip-96x4-patch16-128", 64, "tiny-clip")


def test_transformers_opens_it_too(clip: ClipExtractor) -> None:
    theirs = CLIPModel.from_pretrained(assets() / "tiny-clip", dtype=torch.float32, local_files_only=True)
    ours = clip.model.state_dict()
    assert all(torch.equal(tensor, ours[name]) for name, tensor in theirs.state_dict().items())


def test_captions_are_found_again(embedded: tuple[Rows, Rows]) -> None:
    """Of 12 scenes one is found by chance; `experiments/tiny/train_clip.py` measures it among 100."""
    caption_of_picture, picture_of_caption = retrieval_accuracy(*embedded)
    assert min(caption_of_picture, picture_of_caption) >= 0.75


def test_a_scenes_own_caption_scores_higher_than_anothers(embedded: tuple[Rows, Rows]) -> None:
    images, texts = embedded
    own, others = clip_scores(images, texts), clip_scores(images, np.roll(texts, 1, 0))
    assert own.mean() > 1.5 * others.mean()
