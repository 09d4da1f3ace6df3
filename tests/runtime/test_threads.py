"""How many threads small pictures are computed with: one, whatever there are, and no difference afterwards."""

from collections.abc import Iterator

import pytest
import torch

from zeroconv.generation import ControlPipeline
from zeroconv.runtime.threads import suited_threads
from zeroconv.stable_diffusion import StableDiffusion


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(("size", "threads"), [((128, 128), 1), ((64, 256), 1), ((160, 160), 1), ((256, 256), 2)])
def test_small_pictures_of_the_tiny_base_take_one_thread(base: StableDiffusion, size: tuple[int, int], threads: int) -> None:
    with suited_threads(base, size):
        assert torch.get_num_threads() == threads
    assert torch.get_num_threads() == 2
    with pytest.raises(KeyError), suited_threads(base, size):
        raise KeyError
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_steps_are_computed_so_and_other_bases_as_before(base: StableDiffusion, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = list[int]()

    def note(*_: object) -> None:
        seen.append(torch.get_num_threads())

    pipeline = ControlPipeline(base)
    pipeline("a red house", num_inference_steps=1, on_step=note)
    monkeypatch.setattr("zeroconv.runtime.threads.WIDTH", 1)  # the tiny base is a wide one then
    pipeline("a red house", num_inference_steps=1, on_step=note)
    assert seen == [1, 2] and torch.get_num_threads() == 2
