"""What all rooms' proofs share: one thread, seeds, and a tiny base with random weights."""

import itertools
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import torch

from tests.postgres import PostgresServer, find_postgres
from tests.shelf import Shelf, build_shelf
from tests.tiny import COUNTERS, NANO, SDXL, build_base, build_unet
from zeroconv.stable_diffusion import StableDiffusion

hypothesis.settings.register_profile("proof", deadline=None, derandomize=True, database=None, max_examples=15)
hypothesis.settings.load_profile("proof")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in one order on every machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The global generator of torch, for layers that are born in a test."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def uncounted() -> Iterator[None]:
    """No test leaves a counter on networks that others share."""
    yield
    while COUNTERS:
        COUNTERS.pop().remove()


@pytest.fixture(scope="session")
def unet() -> Any:
    """A tiny U-Net with the topology of SD 1.5; nobody changes its weights."""
    return build_unet()


@pytest.fixture(scope="session")
def base_folder(base: StableDiffusion) -> Path:
    """The folder of `base`."""
    return Path(base.name)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> StableDiffusion:
    """A tiny base, saved as a diffusers folder and opened from it."""
    return build_base(tmp_path_factory.mktemp("bases") / "random")


@pytest.fixture(scope="session")
def nano(tmp_path_factory: pytest.TempPathFactory) -> StableDiffusion:
    """A base of two levels and 64x64 pixels, for what does not depend on how many levels there are."""
    return build_base(tmp_path_factory.mktemp("bases") / "nano", config={**NANO, "sample_size": 8})


@pytest.fixture(scope="session")
def xl(tmp_path_factory: pytest.TempPathFactory) -> StableDiffusion:
    """A tiny base of the SDXL family, with two text encoders."""
    return build_base(tmp_path_factory.mktemp("bases") / "xl", config=SDXL)


@pytest.fixture(scope="session")
def xl_folder(xl: StableDiffusion) -> Path:
    """The folder of `xl`."""
    return Path(xl.name)


@pytest.fixture(scope="session")
def shelf(base: StableDiffusion, tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """Weight files of every kind; nobody changes them."""
    return build_shelf(tmp_path_factory.mktemp("shelf"), base)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server, of which each worker of a parallel run has its own."""
    if find_postgres() is None:
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    server = PostgresServer()
    yield server
    server.remove()


@pytest.fixture(params=["sqlite", "postgres"])
def new_place(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Makes up places for databases in which nothing is, of each kind."""
    server: PostgresServer | None = request.getfixturevalue("postgres") if request.param == "postgres" else None
    names = (secrets.token_hex(8) for _ in itertools.count())
    return lambda: str(tmp_path / f"{next(names)}.sqlite") if server is None else f"{server.url}#t{next(names)}"


@pytest.fixture
def place(new_place: Callable[[], str]) -> str:
    """One of them."""
    return new_place()
