"""PiDiNet: the oracle takes differences of pixels one by one; the laws are those of differences, and of files."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.conditions.scenes import rendering
from zeroconv.checkpoints import write_safetensors
from zeroconv.cli import main
from zeroconv.conditions.networks import edge_detector, pidinet
from zeroconv.conditions.networks.edge_detector import predict_in_tiles
from zeroconv.conditions.networks.pidinet import PiDiNet, open_pidinet, pidinet_edges, to_plain_kernel
from zeroconv.conditions.soft_edge import soft_edge

WIDTHS, BRANCH = (20, 40, 80, 80), 8  # of PiDiNet-Tiny, the smallest that was published
KINDS = ("cd", "ad", "rd", "cv")
NEXT = {0: 1, 1: 2, 2: 5, 5: 8, 8: 7, 7: 6, 6: 3, 3: 0, 4: 4}  # clockwise around the nine places of a kernel
Sizes = tuple[int, ...]


def shapes() -> Iterator[tuple[str, Sizes]]:
    """Names and shapes as in the published files."""
    yield "init_block.weight", (20, 3, 3, 3)
    for stage, (inputs, outputs) in enumerate(zip((20, *WIDTHS), WIDTHS, strict=False), 1):
        for index in range(1, 4 if stage == 1 else 5):
            within = inputs if index == 1 else outputs
            if stage > 1 and index == 1:
                yield f"block{stage}_1.shortcut.weight", (outputs, inputs, 1, 1)
                yield f"block{stage}_1.shortcut.bias", (outputs,)
            yield f"block{stage}_{index}.conv1.weight", (within, 1, 3, 3)
            yield f"block{stage}_{index}.conv2.weight", (outputs, within, 1, 1)
        side = stage - 1
        yield f"dilations.{side}.conv1.weight", (BRANCH, outputs, 1, 1)
        yield f"dilations.{side}.conv1.bias", (BRANCH,)
        yield from ((f"dilations.{side}.conv2_{branch}.weight", (BRANCH, BRANCH, 3, 3)) for branch in range(1, 5))
        yield f"attentions.{side}.conv1.weight", (4, BRANCH, 1, 1)
        yield f"attentions.{side}.conv1.bias", (4,)
        yield f"attentions.{side}.conv2.weight", (1, 4, 3, 3)
        yield f"conv_reduces.{side}.conv.weight", (1, BRANCH, 1, 1)
        yield f"conv_reduces.{side}.conv.bias", (1,)
    yield "classifier.weight", (1, 4, 1, 1)
    yield "classifier.bias", (1,)


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    """Random tensors in the published layout, scaled so that neither signal nor logits run away."""
    rng = np.random.default_rng(0)
    made = {name: rng.normal(0, 0.7 * max(1, np.prod(size[1:])) ** -0.5, size) for name, size in shapes()}
    made |= {"classifier.weight": np.full((1, 4, 1, 1), 0.8), "classifier.bias": np.full(1, -1.0)}
    return {name: torch.from_numpy(array.astype(np.float32)) for name, array in made.items()}


@pytest.fixture(scope="module")
def network(tensors: dict[str, Tensor]) -> PiDiNet:
    return PiDiNet.from_tensors(tensors)


@pytest.fixture
def file(tensors: dict[str, Tensor], tmp_path: Path) -> Path:
    return published(tmp_path / "table5.safetensors", tensors)


def published(path: Path, tensors: dict[str, Tensor]) -> Path:
    """A file with the names of its authors."""
    write_safetensors(path, {f"module.{name}": tensor for name, tensor in tensors.items()})
    return path


def difference(x: Tensor, kind: str, i: int) -> Tensor:
    """What weight `i` of a pixel difference convolution weighs, (1, C, H, W); beside the picture all is zero."""
    height, width = x.shape[-2:]
    padded = F.pad(x, (2, 2, 2, 2))

    def at(place: int, distance: int = 1) -> Tensor:
        top, left = 2 + distance * (place // 3 - 1), 2 + distance * (place % 3 - 1)
        return padded[..., top : top + height, left : left + width]

    if kind == "cd":
        return at(i) - at(4)
    if kind == "ad":
        return at(i) - at(NEXT[i])
    if kind == "rd":  # weights 1 … 8 belong to the eight places around the centre, row by row
        place = (4, 0, 1, 2, 3, 5, 6, 7, 8)[i]
        return at(place, 2) - at(place)
    return at(i)


def difference_convolution(x: Tensor, kind: str, weights: Tensor) -> Tensor:
    """The definition, for a convolution over all channels or within each."""
    answer = torch.zeros(1, len(weights), *x.shape[-2:], dtype=x.dtype)
    for i in range(9):
        weight = weights[:, :, i // 3, i % 3]  # (O, I)
        seen = difference(x, kind, i)
        answer += torch.einsum("oi,bihw->bohw", weight, seen) if len(weight[0]) > 1 else weight[:, 0, None, None] * seen
    return answer


def oracle(rgb: np.ndarray, tensors: dict[str, Tensor]) -> np.ndarray:
    """Edges of a picture (H, W, 3) by the published recipe, in double precision: (H, W)."""
    height, width = rgb.shape[:2]
    down, right = (np.minimum(np.arange(side + -side % 8), side - 1) for side in (height, width))  # the border again
    pixels = rgb[down][:, right][..., ::-1] / 255
    x = torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None]
    w = {name: tensor.double() for name, tensor in tensors.items()}
    size, sides = x.shape[-2:], list[Tensor]()
    x = difference_convolution(x, "cd", w["init_block.weight"])
    for stage in range(1, 5):
        for index in range(1, 4 if stage == 1 else 5):
            name, kind = f"block{stage}_{index}", KINDS[index % 4 if stage == 1 else index - 1]
            skip = x = F.max_pool2d(x, 2) if stage > 1 and index == 1 else x
            if stage > 1 and index == 1:
                skip = F.conv2d(x, w[f"{name}.shortcut.weight"], w[f"{name}.shortcut.bias"])
            x = difference_convolution(x, kind, w[f"{name}.conv1.weight"]).relu()
            x = F.conv2d(x, w[f"{name}.conv2.weight"]) + skip
        at = stage - 1
        y = F.conv2d(x.relu(), w[f"dilations.{at}.conv1.weight"], w[f"dilations.{at}.conv1.bias"])
        branches = [
            F.conv2d(y, w[f"dilations.{at}.conv2_{n}.weight"], padding=reach, dilation=reach)
            for n, reach in ((1, 5), (2, 7), (3, 9), (4, 11))
        ]
        y = torch.stack(branches).sum(0)
        attention = F.conv2d(y.relu(), w[f"attentions.{at}.conv1.weight"], w[f"attentions.{at}.conv1.bias"])
        y = y * F.conv2d(attention, w[f"attentions.{at}.conv2.weight"], padding=1).sigmoid()
        y = F.conv2d(y, w[f"conv_reduces.{at}.conv.weight"], w[f"conv_reduces.{at}.conv.bias"])
        sides.append(F.interpolate(y, size, mode="bilinear", align_corners=False))
    edges = F.conv2d(torch.cat(sides, 1), w["classifier.weight"], w["classifier.bias"]).sigmoid()
    return edges[0, 0, :height, :width].numpy()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("inputs", "outputs", "groups"), [(3, 7, 1), (5, 5, 5)])
def test_a_plain_convolution_takes_the_differences(kind: str, inputs: int, outputs: int, groups: int) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn((1, inputs, 9, 12), generator=generator)
    weights = torch.randn((outputs, inputs // groups, 3, 3), generator=generator)
    kernel = to_plain_kernel(kind, weights)
    assert kernel.shape[-1] == (5 if kind == "rd" else 3)
    found = F.conv2d(x, kernel, padding=kernel.shape[-1] // 2, groups=groups)
    assert torch.allclose(found, difference_convolution(x, kind, weights), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_differences_do_not_see_the_level(kind: str) -> None:
    kernel = to_plain_kernel(kind, torch.randn((6, 2, 3, 3), generator=torch.Generator().manual_seed(1)))
    assert (kernel.sum((2, 3)).abs().max() < 1e-5) == (kind != "cv")


@pytest.mark.parametrize("size", [(128, 128), (64, 48), (37, 53), (1, 1), (1, 9), (33, 2)])
def test_edges_are_those_of_the_oracle(size: tuple[int, int], network: PiDiNet, tensors: dict[str, Tensor]) -> None:
    image = rendering(1).resize(size)
    (found,), wanted = pidinet_edges([image], network), oracle(np.asarray(image), tensors)
    assert found.shape == wanted.shape == size[::-1]
    assert np.abs(found.numpy() - wanted).max() < 1e-4
    assert min(size) < 33 or wanted.std() > 0.02  # there is something to agree on


def test_the_published_networks_have_as_many_numbers_as_their_files() -> None:
    with torch.device("meta"):
        counts = [sum(tensor.numel() for tensor in PiDiNet(width).state_dict().values()) for width in (60, 30, 20)]
    # "rd" grows from 9 to 25 weights a channel: four times, on C, 2C, 4C and 4C channels
    assert [count - 16 * 11 * width for count, width in zip(counts, (60, 30, 20), strict=True)] == [710_149, 183_763, 84_477]


def test_both_kinds_of_files_hold_the_same_network(file: Path, tensors: dict[str, Tensor], network: PiDiNet) -> None:
    pickled, plain = file.with_name("table5_pidinet.pth"), file.with_name("plain.safetensors")
    torch.save({"epoch": 19, "state_dict": {f"module.{name}": tensors[name] for name in tensors}}, pickled)
    converted = file.with_name("converted.safetensors")
    assert main(["convert", str(pickled), str(converted), "--to", "safetensors"]) == 0
    write_safetensors(plain, tensors)
    for path in (file, plain, converted):
        again = open_pidinet(path).state_dict()
        assert again.keys() == network.state_dict().keys() == tensors.keys()
        assert all(torch.equal(tensor, again[name]) for name, tensor in network.state_dict().items())
        assert open_pidinet(path) is open_pidinet(path)


def test_half_precision_files_are_read(tensors: dict[str, Tensor], tmp_path: Path, network: PiDiNet) -> None:
    write_safetensors(tmp_path / "half.safetensors", {name: tensor.half() for name, tensor in tensors.items()})
    halved = open_pidinet(tmp_path / "half.safetensors")
    assert halved.classifier.weight.dtype == torch.float32
    assert torch.allclose(pidinet_edges([rendering(0)], halved)[0], pidinet_edges([rendering(0)], network)[0], atol=0.02)


def test_a_file_that_changes_is_read_again_and_harms_no_network(file: Path, tensors: dict[str, Tensor]) -> None:
    before = open_pidinet(file)
    kept = {name: tensor.clone() for name, tensor in before.state_dict().items()}
    published(file, {name: tensor + 1 for name, tensor in tensors.items()})
    os.utime(file, ns=(1, 1))
    assert open_pidinet(file).state_dict()["classifier.bias"].item() == 0
    assert all(torch.equal(tensor, kept[name]) for name, tensor in before.state_dict().items())


@pytest.mark.parametrize("size", [(640, 24), (24, 640), (232, 240)])
def test_tiles_give_what_the_whole_gives(size: tuple[int, int], network: PiDiNet) -> None:
    pixels = torch.rand((1, 3, *size), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        whole = network(pixels)
        cpu = torch.device("cpu")
        assert torch.allclose(predict_in_tiles(pixels, network, cpu, 160, pidinet.MARGIN), whole, atol=1e-5)
        less = predict_in_tiles(pixels, network, cpu, 160, 32)  # than the network looks at
        assert not torch.allclose(less, whole, atol=1e-5)


def test_large_pictures_go_through_tiles(network: PiDiNet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge_detector, "TILE", 96)
    monkeypatch.setattr(pidinet, "MARGIN", 16)
    seen: list[Sizes] = []
    handle = network.register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape)))
    (edges,) = pidinet_edges([rendering(0).resize((125, 100))], network)
    handle.remove()
    assert edges.shape == (100, 125)
    assert seen == [(1, 3, 80, 80), (1, 3, 80, 80), (1, 3, 56, 80), (1, 3, 56, 80)]


def test_many_pictures_are_each_as_alone(network: PiDiNet) -> None:
    images = [rendering(index).resize(size) for index, size in enumerate([(40, 56), (33, 20), (40, 56)])]
    for image, edges in zip(images, pidinet_edges(images, network), strict=True):
        assert torch.allclose(pidinet_edges([image], network)[0], edges, atol=1e-6)


def test_every_parameter_learns(tensors: dict[str, Tensor]) -> None:
    network = PiDiNet.from_tensors(tensors).requires_grad_(True)
    network(torch.rand((1, 3, 64, 64), generator=torch.Generator().manual_seed(0))).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in network.parameters())


def test_soft_edges_by_pidinet(file: Path, network: PiDiNet, monkeypatch: pytest.MonkeyPatch) -> None:
    image = rendering(2).resize((50, 33))
    wanted = (pidinet_edges([image], network)[0].numpy() * 255).round()
    edges = soft_edge(image, "pidinet", weights=str(file))
    assert (edges.mode, edges.size) == ("RGB", (50, 33))
    assert all(np.array_equal(np.asarray(edges)[..., channel], wanted) for channel in range(3))
    assert set(np.unique(np.asarray(soft_edge(image, "pidinet", safe=True, weights=str(file))))) <= {0, 128, 255}
    monkeypatch.setenv(pidinet.PIDINET_DETECTOR.variable, str(file))
    assert soft_edge(image, "pidinet") == edges == soft_edge(image.convert("RGBA"), "pidinet")


def test_the_network_sees_blue_green_red_as_they_are(file: Path, network: PiDiNet) -> None:
    image = rendering(2).resize((48, 32))
    pixels = torch.from_numpy(np.asarray(image)[..., ::-1].copy()).permute(2, 0, 1)[None] / 255
    assert torch.allclose(network(pixels)[0, 0], pidinet_edges([image], network)[0], atol=1e-6)


def test_without_weights_one_line_says_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(pidinet.PIDINET_DETECTOR.variable, raising=False)
    cases = (
        (None, "PiDiNet needs its weights"),
        (str(tmp_path / "no.safetensors"), "no PiDiNet weights at "),
        (str(tmp_path), "no"),
    )
    for weights, begin in cases:
        with pytest.raises(FileNotFoundError) as caught:
            soft_edge(rendering(0), "pidinet", weights=weights)
        message = str(caught.value)
        assert message.startswith(begin) and "table5_pidinet.pth" in message and "research" in message and "\n" not in message


def test_weights_of_something_else_are_refused(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    light = {name: tensor for name, tensor in tensors.items() if not name.startswith(("dilations", "attentions"))}
    radial = torch.ones(20, 1, 5, 5)
    cases: list[tuple[dict[str, Tensor], str]] = [
        (light, r"is not a PiDiNet .*'attentions.0.conv1.bias' is missing"),
        (tensors | {"head.weight": torch.ones(1)}, "is not a PiDiNet .*'head.weight' is unknown"),
        (tensors | {"block1_2.conv1.weight": radial}, r"is not a PiDiNet .*'block1_2.conv1.weight' has shape \(20, 1, 5, 5\)"),
        (tensors | {"init_block.weight": torch.ones(10**9, 0)}, "is not a PiDiNet .*has shape"),
        (tensors | {"init_block.weight": torch.tensor(1)}, "is not a PiDiNet .*has shape"),
        ({"a": torch.ones(1)}, "is not a PiDiNet .*is missing"),
        (tensors | {"classifier.bias": torch.tensor([torch.nan])}, "is broken: 'classifier.bias'"),
    ]
    for number, (wrong, reason) in enumerate(cases):
        published(path, wrong)
        os.utime(path, ns=(number, number))
        with pytest.raises(ValueError, match=rf"other\.safetensors {reason}") as caught:
            open_pidinet(path)
        assert "\n" not in str(caught.value)


def test_pickles_and_web_pages_are_refused(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save({"state_dict": tensors}, tmp_path / "table5.pth")
    (tmp_path / "text.safetensors").write_text("<html>", "utf-8")
    for name, reason in (("table5.pth", "zeroconv convert .* --to safetensors"), ("text.safetensors", "a web page")):
        with pytest.raises(ValueError, match=rf"{name} .*{reason}") as caught:
            open_pidinet(tmp_path / name)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("device", ["abacus", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(device: str, file: Path) -> None:
    with pytest.raises(ValueError, match=f"PiDiNet cannot run on '{device}': ") as caught:
        open_pidinet(file, device)
    assert "\n" not in str(caught.value)
