"""Studies to try things on, and raters whose taste is known."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from zeroconv.study import Question, Study, StudyItem, StudyPlan, Vote, create_study
from zeroconv.study.pictures import encode

KEY = b"0" * 32


def noise(seed: int, size: int = 24) -> bytes:
    """A PNG that no other seed makes."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    return encode(Image.fromarray(pixels))


def make_study(path: Path | str, methods: Sequence[str], *, items: int = 3, has_maps: bool = True, **plan: Any) -> None:
    """Write a study of noise."""
    count = len(methods)
    made = [
        StudyItem(
            f"{i:03}", tuple(noise(i * count + j) for j in range(count)), noise(10**6 + i) if has_maps else None, f"no. {i}"
        )
        for i in range(items)
    ]
    settings: dict[str, Any] = {"kind": "ranking", "methods": tuple(methods), "raters": 2, **plan}
    create_study(path, StudyPlan(**settings), made, KEY)


def methods_of(study: Study) -> dict[str, str]:
    """The method of each picture, which the page never says."""
    rows = study.database.read("SELECT picture, method FROM result")
    return {row["picture"]: study.methods[row["method"]] for row in rows}


def prefer(study: Study, question: Question, best_first: Sequence[str]) -> dict[str, int]:
    """The ranks that somebody with this taste gives."""
    known = methods_of(study)
    return {name: len(best_first) - best_first.index(known[name]) for name in question.pictures}


def ballots(ranks: Any, methods: Sequence[str]) -> list[Vote]:
    """Votes on quality.

    Args:
        ranks: by rater, by item, the rank of each method.
        methods: names.
    """
    return [
        Vote(rater, f"{item}", "quality", dict(zip(methods, map(int, row), strict=True)), tuple(methods), "")
        for rater, rows in enumerate(ranks)
        for item, row in enumerate(rows)
    ]
