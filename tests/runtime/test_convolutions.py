"""Wide convolutions as matrix products: what the plain convolution gives, by every form, and which form is taken."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from zeroconv.messages import Message, listen
from zeroconv.runtime import convolutions
from zeroconv.runtime.convolutions import (
    FOUR,
    GATHERED,
    READ,
    TWO,
    Form,
    Gathered,
    Winograd,
    bytes_beside,
    find_form,
    with_present_forms,
)
from zeroconv.runtime.layers import PackedConvolution, PackedLinear, can_pack
from zeroconv.runtime.planned import Planned
from zeroconv.runtime.weights import Weights

SAME = [1, 1], [1, 1], [1, 1], 1
CLOSE = 2e-6
"""Of the result, in float32; the plain convolution is at 7e-7."""


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def features(*shape: int) -> Tensor:
    return numbers(*shape).contiguous(memory_format=torch.channels_last)


def error(found: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int = 1) -> float:
    exact = functional.conv2d(x.double(), weight.double(), None if bias is None else bias.double(), stride, padding=1)
    assert found.shape == exact.shape and found.is_contiguous(memory_format=torch.channels_last)
    return float((found - exact).norm() / exact.norm())


@pytest.mark.parametrize("size", [(1, 4, 8), (2, 16, 12), (3, 20, 4)])
@pytest.mark.parametrize("form", [FOUR, TWO], ids=["four", "two"])
def test_tiles_give_what_the_convolution_gives(form: Form, size: tuple[int, int, int]) -> None:
    x, weight, bias = features(size[0], 48, *size[1:]), numbers(40, 48, 3, 3, seed=1) / 20, numbers(40, seed=2)
    layer = Winograd(weight, form)
    assert error(layer(x, bias), x, weight, bias) < CLOSE
    assert error(layer(x), x, weight) < CLOSE


@pytest.mark.parametrize("pack", [None, PackedLinear], ids=["as-it-lies", "packed"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(2, 4, 4), (1, 5, 7), (3, 1, 1)])
def test_one_product_gives_what_the_convolution_gives(
    size: tuple[int, int, int], stride: int, pack: type[PackedLinear] | None
) -> None:
    x, weight, bias = features(size[0], 48, *size[1:]), numbers(40, 48, 3, 3, seed=1) / 20, numbers(40, seed=2)
    layer = Gathered(weight, stride, pack)
    assert error(layer(x, bias), x, weight, bias, stride) < CLOSE
    assert error(layer(x), x, weight, stride=stride) < CLOSE


def test_a_tile_of_nine_ones_is_an_exact_sum() -> None:
    """By hand: every output inside is the number of inputs it sees, and those at the edge see fewer."""
    counted = functional.pad(torch.full((1, 1, 2, 2), 9.0), (1, 1, 1, 1), value=6.0)
    counted[0, 0, [0, 0, -1, -1], [0, -1, 0, -1]] = 4.0
    for form in (FOUR, TWO):
        found = Winograd(torch.ones(1, 1, 3, 3), form)(torch.ones(1, 1, 4, 4))
        torch.testing.assert_close(found, counted, rtol=0, atol=5e-6)


def test_which_form_is_taken() -> None:
    def form(outputs: int, inputs: int, height: int, width: int, stride: int = 1, rows: int = 2) -> Form | None:
        weight = torch.empty(outputs, inputs, 3, 3)
        return find_form(weight, ([1, 1], [stride, stride], [1, 1], 1), torch.Size((rows, inputs, height, width)))

    assert form(320, 320, 32, 32) is form(640, 1920, 16, 16) is FOUR
    assert form(320, 320, 32, 34) is form(1280, 1280, 32, 32) is form(1280, 2560, 8, 8) is TWO  # odd tiles; much memory
    assert form(1280, 1280, 4, 4) is form(1280, 1280, 7, 9) is form(640, 640, 8, 8, stride=2) is GATHERED
    assert form(320, 320, 9, 9) is form(320, 320, 32, 32, stride=2) is None
    assert form(128, 512, 32, 32) is form(512, 128, 4, 4) is form(320, 4, 64, 64) is None
    assert all(form(320, 320, 32, 32, rows=rows) is FOUR for rows in (1, 8))


@pytest.mark.parametrize(
    ("weight", "geometry"),
    [
        (torch.empty(320, 320, 3, 3, dtype=torch.bfloat16), SAME),
        (torch.empty(320, 320, 1, 1), ([0, 0], [1, 1], [1, 1], 1)),
        (torch.empty(320, 320, 3, 3), ([0, 0], [1, 1], [1, 1], 1)),
        (torch.empty(320, 320, 3, 3), ([1, 1], [1, 1], [2, 2], 1)),
        (torch.empty(320, 320, 3, 3), ([1, 1], [1, 1], [1, 1], 2)),
    ],
    ids=["bfloat16", "1x1", "no-border", "dilated", "groups"],
)
def test_other_convolutions_are_computed_as_they_are(
    weight: Tensor, geometry: tuple[list[int], list[int], list[int], int]
) -> None:
    assert find_form(weight, geometry, torch.Size((2, 320, 32, 32))) is None


def test_narrow_weights_are_gathered_where_products_are_faster_than_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def form(outputs: int, inputs: int, height: int, width: int, stride: int = 1) -> Form | None:
        weight = torch.empty(outputs, inputs, 3, 3, dtype=torch.bfloat16)
        return find_form(weight, ([1, 1], [stride, stride], [1, 1], 1), torch.Size((2, inputs, height, width)))

    monkeypatch.setattr(convolutions, "multiplies_tiles", lambda: False)
    assert form(1280, 1280, 4, 4) is None
    monkeypatch.setattr(convolutions, "multiplies_tiles", lambda: True)
    assert form(1280, 1280, 4, 4) is form(1280, 2560, 8, 8) is form(640, 640, 16, 16, stride=2) is READ[0]
    assert form(1280, 1280, 16, 16) is form(128, 512, 4, 4) is form(320, 320, 32, 32) is None
    weight = torch.empty(1280, 1280, 3, 3, dtype=torch.bfloat16)
    assert bytes_beside(weight) == weight.nbytes
    if can_pack(torch.device("cpu"), torch.bfloat16):
        layer, x = nn.Conv2d(256, 256, 3, padding=1).bfloat16().requires_grad_(False), features(2, 256, 4, 4).bfloat16()
        packed = PackedConvolution(layer)
        assert error(packed(x), x, layer.weight, layer.bias) < 5e-3
        assert packed.form is READ[0]


def test_how_much_memory_stands_for_the_weights() -> None:
    for outputs, inputs in ((256, 320), (1280, 1280)):
        weight = torch.empty(outputs, inputs, 3, 3)
        taken = [Winograd(weight, form).weights for form in (FOUR, TWO) if outputs * inputs <= form.most]
        assert bytes_beside(weight) == max(one.nbytes for one in taken)
    assert bytes_beside(torch.empty(128, 320, 3, 3)) == 4 * 128 * 320 * 9


@torch.no_grad()
def test_a_layer_changes_its_form_with_the_size() -> None:
    layer = nn.Conv2d(256, 256, 3, padding=1)
    packed, taken = PackedConvolution(layer), list[Form | None]()
    for height, width in ((24, 24), (8, 8), (4, 4), (9, 9), (24, 24)):
        x = features(1, 256, height, width)
        assert error(packed(x), x, layer.weight, layer.bias) < CLOSE
        taken.append(packed.form)
    assert taken == [FOUR, TWO, GATHERED, GATHERED, FOUR]


@torch.no_grad()
def test_a_proof_on_a_small_picture_sees_the_tiles_of_a_large_one(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = nn.Conv2d(256, 256, 3, padding=1)

    class Plan(PackedConvolution):
        unknown = frozenset[str]()

    def planned() -> Planned:
        plan = Plan(layer)
        plan(features(1, 256, 24, 24))
        assert plan.form is FOUR
        return Planned(Weights([layer]), plan, layer, "it", lambda one: one(features(1, 256, 4, 4)).flatten())

    good = planned()
    assert good.prove() and good.plan.form is FOUR
    with with_present_forms():
        assert find_form(layer.weight, SAME, torch.Size((1, 256, 4, 4)), TWO) is TWO

    def wrong(products: Tensor, outputs: list[Tensor], spare: Tensor) -> None:
        FOUR.gather(products, outputs, spare)
        outputs[0].mul_(1.001)

    monkeypatch.setattr(convolutions, "FORMS", (replace(FOUR, gather=wrong), TWO, GATHERED))
    monkeypatch.setattr(convolutions, "FOUR", convolutions.FORMS[0])
    plan = Plan(layer)
    plan(features(1, 256, 24, 24))
    broken = Planned(Weights([layer]), plan, layer, "it", lambda one: one(features(1, 256, 4, 4)).flatten())
    told = list[Message]()
    with listen(told.append):
        assert not broken.prove() and broken.plan is layer
    assert [message.code for message in told] == ["runtime.no-plan"]
