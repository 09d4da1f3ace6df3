"""Small studies, made of noise."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.study.raters import make_study
from zeroconv.study import Study

Make = Callable[..., Study]


@pytest.fixture
def made(tmp_path: Path, request: pytest.FixtureRequest) -> Make:
    """Make and open a study; it is closed in the end."""

    def make(methods: Sequence[str] = ("one", "two", "three"), **settings: Any) -> Study:
        path = tmp_path / f"{len(list(tmp_path.glob('*.sqlite')))}.sqlite"
        make_study(path, methods, **settings)
        study = Study(path)
        request.addfinalizer(study.database.close)
        return study

    return make


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(0)
