"""Many pictures at once give what each gives alone; a network sees those of one size together; draws suit the method."""

from collections.abc import Callable, Sequence
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from experiments.hed.convert import tensors_of
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from tests.conditions.networks.test_hed import keras_arrays
from tests.conditions.scenes import rendering
from tests.conditions.tiny_networks import save
from zeroconv.checkpoints import write_safetensors
from zeroconv.conditions import draw_parameters, extract, extract_all, get, names
from zeroconv.conditions.networks import batching as batches
from zeroconv.conditions.networks.batching import run_in_batches
from zeroconv.conditions.networks.hed import open_hed
from zeroconv.conditions.networks.transformers import open_network

SIZES = [(96, 64), (128, 128), (96, 64), (128, 128), (50, 90)]
LEARNED = [
    ("depth", "depth-anything"), ("depth", "dpt"), ("normal", "dpt"), ("segmentation", "segformer"),
    ("segmentation", "mask2former"), ("segmentation", "oneformer"), ("soft-edge", "hed"),
]  # fmt: skip


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    return [rendering(i).resize(size) for i, size in enumerate(SIZES)]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A folder or file of random weights for a method."""
    folder, made = tmp_path_factory.mktemp("weights"), dict[str, Path]()

    def get_weights(method: str) -> Path:
        if method not in made and method == "hed":
            write_safetensors(folder / "hed.safetensors", tensors_of(keras_arrays()))
            made[method] = folder / "hed.safetensors"
        elif method not in made:
            made[method] = save(method, folder / method)
        return made[method]

    return get_weights


def apart(one: Image.Image, other: Image.Image) -> int:
    """The greatest difference of two maps in grey levels."""
    return int(np.abs(np.asarray(one, int) - np.asarray(other, int)).max())


def drawn(name: str, pictures: Sequence[Image.Image], **told: Any) -> list[dict[str, Any]]:
    return [draw_parameters(name, np.random.default_rng(i), image.size, told) for i, image in enumerate(pictures)]


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("resolution", [None, 48])
def test_all_at_once_are_each_alone(name: str, resolution: int | None, pictures: list[Image.Image]) -> None:
    parameters = drawn(name, pictures, resolution=resolution)
    made = extract_all(name, pictures, parameters)
    for one, image, told in zip(made, pictures, parameters, strict=True):
        assert (one.size, one.mode) == (image.size, get(name).contract.mode)
        assert apart(one, extract(name, image, **told)) <= (0 if get(name).batched is None else 1)
    assert extract_all(name, [], []) == []


@pytest.mark.parametrize(("name", "method"), LEARNED)
def test_a_network_sees_pictures_of_one_size_together(
    name: str, method: str, pictures: list[Image.Image], weights: Callable[[str], Path]
) -> None:
    folder = weights(method)
    network = open_hed(str(folder)) if method == "hed" else open_network(method, folder).model
    parameters = drawn(name, pictures, method=method, weights=str(folder))
    alone = [extract(name, image, **told) for image, told in zip(pictures, parameters, strict=True)]
    seen: list[int] = []
    handle = network.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    together = extract_all(name, pictures, parameters)
    handle.remove()
    shapes = {(64, 64)} if method == "dpt" else set(SIZES)  # a network's own square, or the pictures' sizes
    assert len(seen) == len(shapes) and sum(seen) == len(pictures)
    for one, other in zip(together, alone, strict=True):
        differs = (np.asarray(one) != np.asarray(other)).any(axis=-1).mean()
        assert differs < 1e-3 if name == "segmentation" else apart(one, other) <= 1


def test_pictures_with_other_weights_are_not_seen_together(pictures: list[Image.Image], weights: Callable[[str], Path]) -> None:
    """What the network is told may differ from picture to picture; what is only drawn does not part them."""
    base, kinds = {"method": "hed", "weights": str(weights("hed"))}, ("mean", "learned", "mean")
    told: list[dict[str, Any]] = [{**base, "fusion": fusion} for fusion in kinds]
    same = [pictures[0]] * 3
    mean, learned, again = extract_all("soft-edge", same, told)
    assert mean == again != learned == extract("soft-edge", same[0], **told[1])


@given(
    shapes=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), max_size=12),
    most=st.integers(1, 20),
)
def test_batches_keep_the_order_and_their_limit(shapes: list[tuple[int, int]], most: int) -> None:
    inputs = [torch.full((1, 3, *shape), float(i)) for i, shape in enumerate(shapes)]
    seen: list[torch.Size] = []

    def run(batch: Tensor) -> Tensor:
        seen.append(batch.shape)
        return batch[:, :1] + 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "PIXELS", most)
        answers = run_in_batches(inputs, run)
    assert [tuple(answer.shape) for answer in answers] == [(1, 1, *shape) for shape in shapes]
    assert [answer[0, 0, 0, 0].item() for answer in answers] == [i + 1 for i in range(len(shapes))]
    assert sum(shape[0] for shape in seen) == len(shapes)
    assert all(shape[0] == 1 or shape[0] * shape[2] * shape[3] <= most for shape in seen)


@pytest.mark.parametrize("name", names())
def test_draws_are_keyed_and_what_is_given_stays(name: str) -> None:
    known = set(signature(get(name).extract or extract).parameters)
    for seed in range(20):
        one, other = (draw_parameters(name, np.random.default_rng(seed), (128, 96), {}) for _ in range(2))
        assert one == other and set(one) <= known
        for key in one:
            assert draw_parameters(name, np.random.default_rng(seed), (128, 96), {key: one[key]})[key] == one[key]


@pytest.mark.parametrize("name", names())
def test_what_can_be_drawn_is_drawn(name: str) -> None:
    """Only conditions whose every parameter says which network, what it believes, or how thick it draws, draw nothing."""
    settled = {"image", "method", "weights", "detector", "device", "threshold", "tile", "hands", "face", "thickness"}
    assert (get(name).draw_parameters is None) == (set(signature(get(name).extract or extract).parameters) <= settled)


def test_draws_of_canny_are_the_papers_and_as_they_always_were() -> None:
    for seed in range(50):
        rng = np.random.default_rng(seed)
        high = float(rng.uniform(100, 300))
        low = high * float(rng.uniform(0.3, 0.7))
        assert draw_parameters("canny", np.random.default_rng(seed), (64, 64), {}) == {"low": low, "high": high}


@given(seed=st.integers(0, 99), low=st.none() | st.floats(0, 2040), high=st.none() | st.floats(0, 2040))
def test_a_given_threshold_never_makes_the_other_impossible(seed: int, low: float | None, high: float | None) -> None:
    told = {key: value for key, value in (("low", low), ("high", high)) if value is not None}
    made = draw_parameters("canny", np.random.default_rng(seed), (64, 64), told)
    assert told.items() <= made.items()
    assert made["low"] <= made["high"] <= 2040 or len(told) == 2


@pytest.mark.parametrize(
    ("name", "method", "absent"),
    [
        ("soft-edge", "hed", {"sigma"}),
        ("soft-edge", "gradient", set[str]()),
        ("normal", "dpt", set[str]()),
        ("normal", "marigold", {"strength", "background"}),
        ("scribble", "xdog", {"suppress"}),
        ("scribble", "edges", set[str]()),
        ("scribble", "drawing", {"suppress", "threshold"}),
    ],
)
def test_draws_suit_the_method(name: str, method: str, absent: set[str]) -> None:
    for seed in range(30):
        made = draw_parameters(name, np.random.default_rng(seed), (64, 64), {"method": method})
        usual = draw_parameters(name, np.random.default_rng(seed), (64, 64), {})
        assert made["method"] == method and not absent & set(made)
        assert set(made) >= set(usual) - absent - {"method"} - ({"suppress"} if usual.get("method") == "xdog" else set())
        if method == "xdog":
            assert 0.3 <= made["threshold"] <= 0.96


@pytest.mark.parametrize(("side", "broadest"), [(64, 3), (128, 6), (512, 24), (1024, 24)])
def test_pens_grow_with_the_picture(side: int, broadest: int) -> None:
    widths = [draw_parameters("scribble", np.random.default_rng(s), (side, 2 * side), {})["width"] for s in range(300)]
    assert min(widths) == 1 and broadest - 1 <= max(widths) <= broadest


@pytest.mark.parametrize("wrong", [{"thresold": 1}, {"low": "much"}])
def test_parameters_that_it_does_not_have_are_one_line(wrong: dict[str, Any]) -> None:
    for refused in (
        lambda: extract_all("canny", [rendering(0)], [wrong]),
        lambda: draw_parameters("canny", np.random.default_rng(0), (9, 9), wrong),
        lambda: extract_all("depth", [rendering(0)], [{**wrong, "low": 1}]),
    ):
        with pytest.raises(ValueError, match=r"^(canny|depth): .*(thresold|low)") as caught:
            refused()
        assert "\n" not in str(caught.value)
