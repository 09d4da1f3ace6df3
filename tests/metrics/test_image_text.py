"""CLIP score, aesthetic score and retrieval by hand."""

import numpy as np
import pytest

from zeroconv.errors import InputError
from zeroconv.metrics.image_text import aesthetic_scores, clip_scores, retrieval_accuracy


def test_clip_score_by_hand() -> None:
    images, texts = [[3.0, 4], [1, 0], [2, 0]], [[0.0, 2], [-5, 0], [1, 1]]
    assert clip_scores(images, texts) == pytest.approx([80, 0, 100 / np.sqrt(2)])


def test_aesthetic_score_by_hand() -> None:
    assert aesthetic_scores([[3.0, 4], [0, 2]], [[10.0, 5]], 0.5) == pytest.approx([6 + 4 + 0.5, 5.5])


def test_retrieval_by_hand() -> None:
    images, texts = np.eye(4), np.eye(4)[[0, 1, 3, 2]]
    assert retrieval_accuracy(images, texts) == (0.5, 0.5)
    assert retrieval_accuracy(images, images) == (1, 1)
    assert retrieval_accuracy([[1.0, 0], [1, 0.1]], [[1.0, 0], [1, 0]]) == (1, 0.5)  # equal texts; the first picture is nearer


def test_bad_input() -> None:
    with pytest.raises(InputError, match="2 pictures and 1 texts") as error:
        clip_scores([[1.0], [2]], [[1.0]])
    assert error.value.field == "texts"
    with pytest.raises(InputError, match="images are zero in row 0"):
        clip_scores([[0.0, 0]], [[1.0, 0]])
    with pytest.raises(InputError, match="embeddings of 3 dimensions, the pictures have 2"):
        aesthetic_scores([[1.0, 0]], [1.0, 2, 3], 0)
