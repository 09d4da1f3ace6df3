"""A process that forks trainers of a nano base, and the pairs that the training's own tests use."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.durability.runs import Zygote
from tests.tiny import NANO, build_base
from tests.training.conftest import data_folder

__all__ = ["data_folder", "zygote"]


@pytest.fixture(scope="package")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    """The process."""
    base = build_base(tmp_path_factory.mktemp("bases") / "nano", config=NANO)
    found = Zygote(Path(base.name))
    yield found
    found.close()
