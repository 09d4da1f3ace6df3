"""A small folder of pairs, and the settings of a run that takes a second."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.training.pairs_folder import make_pairs
from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.training import TrainConfig
from zeroconv.training.parts import open_base


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine pictures of 32 x 32 with captions of one word."""
    return make_pairs(tmp_path_factory.mktemp("pairs"))


@pytest.fixture(scope="session")
def base(nano: StableDiffusion) -> StableDiffusion:
    """The smallest one: what a trainer does with a base does not depend on how many levels it has."""
    return nano


@pytest.fixture(scope="session")
def base_folder(base: StableDiffusion) -> Path:
    """The folder of `base`."""
    return Path(base.name)


@pytest.fixture(scope="package", autouse=True)
def opened_once(base: StableDiffusion, base_folder: Path) -> Iterator[None]:
    """The tiny random base is opened for all runs together: no run changes it, which is one of the things proven here."""

    def open_or_take(config: TrainConfig) -> StableDiffusion:
        plain = config.model.base == str(base_folder) and config.model.vae is config.model.prediction_type is None
        return base if plain else open_base(config)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zeroconv.training.trainer.open_base", open_or_take)
        yield


Settings = Callable[..., TrainConfig]


@pytest.fixture
def settings(base_folder: Path, data_folder: Path, tmp_path: Path) -> Settings:
    """`settings(steps=4)`: a run of the tiny random base in a fresh folder."""
    return settings_in(tmp_path, base_folder, data_folder)


def settings_in(folder: Path, base_folder: Path, data_folder: Path) -> Settings:
    """The same in a folder of the caller's."""

    def build(**changed: Any) -> TrainConfig:
        small: dict[str, Any] = {
            "base": str(base_folder),
            "data": str(data_folder),
            "out": folder / "run",
            "steps": 4,
            "batch_size": 2,
            "probe_count": 2,
            "probe_every": 2,
            "probe_steps": 1,
            "save_every": 2,
            "warmup_steps": 2,
            "optimizer": "adamw",
            "timesteps": "uniform",
        }
        return TrainConfig.build(**{**small, **changed})

    return build
