"""What the proofs of all baselines share: the tiny base, two pairs and two cases."""

import pytest
from experiments.baselines.common import Case, Pairs, load_cases, open_tiny_base

from zeroconv import StableDiffusion


@pytest.fixture(scope="module")
def base() -> StableDiffusion:
    return open_tiny_base()


@pytest.fixture(scope="module")
def pairs(base: StableDiffusion) -> Pairs:
    return Pairs.render(2, base)


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return load_cases(2)
