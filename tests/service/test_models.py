"""Networks stay open within a budget: the least recently used go first, those of the running job never."""

import copy

import pytest

from tests.tiny import build_control
from zeroconv.generation import BaseRequest
from zeroconv.service.models import ModelCache, count_bytes
from zeroconv.stable_diffusion import StableDiffusion


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what costs time and is measured elsewhere."""
    for name in ("free", "LatentColours"):
        monkeypatch.setattr(f"zeroconv.service.models.{name}", lambda *_: None)


def opened(base: StableDiffusion, memory: int) -> ModelCache:
    """A cache with two bases and a ControlNet for each, the first base used last."""

    def open_one(request: BaseRequest) -> StableDiffusion:
        return copy.deepcopy(base)

    cache = ModelCache(memory, "cpu", open_one)
    for name in ("old", "new", "old"):
        warm = cache.get(name, [f"of {name}"])
        warm.opened.setdefault(f"of {name}", build_control(warm.pipeline.base.unet))
    return cache


def test_what_fits_stays(base: StableDiffusion) -> None:
    cache = opened(base, 10**9)
    cache.make_room(())
    assert list(cache.bases) == ["old", "new"] and cache.get("old", ()) is cache.bases["old"]


def test_the_least_recently_used_goes_first(base: StableDiffusion) -> None:
    cache = opened(base, 10**9)
    whole = cache.size()
    network = count_bytes([cache.bases["new"].opened["of new"]])
    cache.memory = whole - 1
    cache.make_room(())
    assert not cache.bases["new"].opened and cache.bases["old"].opened and cache.size() == whole - network
    cache.memory = whole - network - 1
    cache.make_room(())
    assert list(cache.bases) == ["old"]


def test_what_a_job_needs_stays_whatever_it_takes(base: StableDiffusion) -> None:
    cache = opened(base, 10**9)
    cache.memory = 0
    cache.make_room({("new", None), ("new", "of new")})
    assert list(cache.bases) == ["new"] and list(cache.bases["new"].opened) == ["of new"]
    cache.clear()
    assert cache.size() == 0


def test_shared_tensors_count_once(base: StableDiffusion) -> None:
    assert count_bytes([base.unet, base.unet]) == count_bytes([base.unet]) > 0
