"""Small studies, made of noise."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from tests.study.raters import make_study
from zeroconv.study import Study

Make = Callable[..., Study]


@pytest.fixture
def made(new_place: Callable[[], str], request: pytest.FixtureRequest) -> Make:
    """Make and open a study; it is closed in the end."""

    def make(methods: Sequence[str] = ("one", "two", "three"), **settings: Any) -> Study:
        place = new_place()
        make_study(place, methods, **settings)
        study = Study(place)
        request.addfinalizer(study.database.close)
        return study

    return make


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(0)
