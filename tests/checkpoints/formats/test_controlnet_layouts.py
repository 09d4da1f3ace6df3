"""Layouts of a ControlNet: told apart, and every way through a file and back gives the same tensors."""

import itertools
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint
from torch import Tensor

from tests.checkpoints.reduced import REDUCED, controlnet_on_meta, random_tensors, unet_on_meta
from zeroconv.checkpoints import read_safetensors, write_safetensors
from zeroconv.checkpoints.files.torch_pickle import read_pickle, write_pickle
from zeroconv.checkpoints.formats.controlnet_layouts import LAYOUTS, layout_of, read_layout, write_layout

FAMILIES = ("sd15", "sd21", "sdxl")
BASE = {"model.diffusion_model.out.2.bias": torch.zeros(4), "first_stage_model.quant_conv.bias": torch.ones(8)}
RENAMED = ("diffusers", "webui", "lllyasviel", "lllyasviel-full")


def pair(family: str, dtype: torch.dtype = torch.float32) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A U-Net's tensors and those of a ControlNet that began as its copy and was trained a little."""
    unet = {name: tensor.to(dtype) for name, tensor in random_tensors(unet_on_meta(REDUCED[family])).items()}
    control = {name: tensor.to(dtype) for name, tensor in random_tensors(controlnet_on_meta(REDUCED[family])).items()}
    moved = {name: (unet[name].float() * 1.25).to(dtype) if name in unet else tensor for name, tensor in control.items()}
    return unet, moved


def same(one: Mapping[str, Tensor], two: Mapping[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(one[n].dtype == two[n].dtype and torch.equal(one[n], two[n]) for n in one)


DTYPES = (torch.float32, torch.float16, torch.bfloat16)
ENDINGS = (".safetensors", ".pth")
TOGETHER = [
    *((family, dtype, ENDINGS[i % 2]) for i, (family, dtype) in enumerate(zip(FAMILIES, DTYPES, strict=True))),
    ("sd15", torch.bfloat16, ".pth"),
]
OTHERS = [one for one in itertools.product(FAMILIES, DTYPES, ENDINGS) if one not in TOGETHER]


@pytest.mark.parametrize(
    ("family", "dtype", "ending"), [*TOGETHER, *(pytest.param(*one, marks=pytest.mark.slow) for one in OTHERS)], ids=str
)
def test_every_layout_but_the_low_rank_one_comes_back_bit_by_bit(
    family: str, dtype: torch.dtype, ending: str, tmp_path: Path
) -> None:
    unet, control = pair(family, dtype)
    for layout in (*RENAMED, "difference"):
        written = write_layout(control, layout, unet=unet, base=BASE)
        assert layout_of(written.keys()) == layout
        path = tmp_path / f"{layout}{ending}"
        if ending == ".pth":
            write_pickle(path, written)
            found = read_pickle(path)
        else:
            write_safetensors(path, written)
            found = read_safetensors(path)
        assert same(found, written)
        assert same(read_layout(found, unet), control)


@pytest.mark.parametrize("family", FAMILIES)
def test_through_all_layouts_in_a_row_nothing_is_lost(family: str) -> None:
    unet, control = pair(family)
    tensors = control
    for layout in ("lllyasviel", "difference", "webui", "lllyasviel-full", "diffusers"):
        tensors = read_layout(write_layout(tensors, layout, unet=unet, base=BASE), unet)
    assert same(tensors, control)


@pytest.mark.parametrize("family", FAMILIES)
def test_diffusers_own_converter_reads_what_is_written(family: str) -> None:
    _, control = pair(family)
    config = {**controlnet_on_meta(REDUCED[family]).config}
    for layout in ("webui", "lllyasviel"):
        theirs = convert_controlnet_checkpoint(write_layout(control, layout), config)
        shared = {name: tensor for name, tensor in control.items() if not name.startswith("add_embedding.")}  # it forgets these
        assert same({name: tensor for name, tensor in theirs.items() if name in shared}, shared)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_difference_file_holds_differences(family: str) -> None:
    unet, control = pair(family)
    written = write_layout(control, "difference", unet=unet)
    moved = written["control_model.time_embed.0.bias"]
    torch.testing.assert_close(moved, unet["time_embedding.linear_1.bias"] / 4, rtol=1e-6, atol=1e-6)
    assert torch.equal(written["control_model.zero_convs.0.0.bias"], control["controlnet_down_blocks.0.bias"])
    bare = {name.removeprefix("control_model."): tensor for name, tensor in written.items()}
    assert same(read_layout(bare, unet), control)  # as some tools write it


@pytest.mark.filterwarnings("ignore:offsets of rank")
@pytest.mark.parametrize("family", FAMILIES)
def test_a_low_rank_file_is_near_and_nearer_with_more_rank(family: str) -> None:
    unet, control = pair(family)
    generator = torch.Generator().manual_seed(0)
    control = {n: t + torch.randn(t.shape, generator=generator) * 0.1 if n in unet else t for n, t in control.items()}
    errors = []
    for rank in (1, 8, 4096):
        back = read_layout(write_layout(control, "control-lora", unet=unet, rank=rank), unet)
        errors.append(max(float((back[name] - tensor).abs().max()) for name, tensor in control.items()))
    assert errors[0] > errors[1] > errors[2] and errors[2] < 1e-4


@pytest.mark.filterwarnings("ignore:offsets of rank")
@pytest.mark.parametrize("layout", ["difference", "control-lora"])
def test_offsets_without_a_base_are_one_line(layout: str) -> None:
    unet, control = pair("sd15")
    written = write_layout(control, layout, unet=unet, rank=2)
    with pytest.raises(ValueError, match=r"canny\.pth holds .*offsets from a base.*: give the base it was made for too"):
        read_layout(written, what="canny.pth")
    with pytest.raises(ValueError, match="give the base too"):
        write_layout(control, layout, rank=2)
    with pytest.raises(ValueError, match="say which, 64 for instance"):
        write_layout(control, "control-lora", unet=unet)


def test_offsets_from_another_family_are_one_line() -> None:
    unet, control = pair("sd15")
    other, _ = pair("sd21")
    written = write_layout(control, "difference", unet=unet)
    with pytest.raises(ValueError, match=r"made for SD 1\.5 \(text width 24\), the base is SD 2\.1 \(text width 40\): use a"):
        read_layout(written, other)


@pytest.mark.parametrize("layout", ["webui", "lllyasviel", "diffusers"])
def test_a_missing_and_an_unknown_tensor_are_named(layout: str) -> None:
    _, control = pair("sd15")
    written = write_layout(control, layout)
    if layout == "diffusers":  # compared with the network when it is opened
        assert read_layout(written).keys() == control.keys()
        return
    first = next(name for name in written if name.endswith("time_embed.0.bias"))
    with pytest.raises(ValueError, match=r"here has 337 tensors, expected 338: tensor 'time_embed\.0\.bias' is missing \(1 m"):
        read_layout({name: tensor for name, tensor in written.items() if name != first}, what="here")
    with pytest.raises(ValueError, match=r"expected 338: tensor '.*surprise' is unknown \(0 missing, 1 unknown\)"):
        read_layout({**written, first.replace("time_embed.0.bias", "time_embed.surprise"): torch.zeros(1)})


def test_what_is_no_controlnet_is_one_line() -> None:
    assert layout_of([]) is None and layout_of(BASE) is None
    with pytest.raises(ValueError, match=r"base\.ckpt holds no ControlNet: none of its 2 tensors is a condition encoder"):
        read_layout(BASE, what="base.ckpt")
    with pytest.raises(ValueError, match=f"layout is 'a1111'; expected one of {', '.join(LAYOUTS)}"):
        write_layout(BASE, "a1111")
    with pytest.raises(ValueError, match="holds a whole Stable Diffusion: give the base too"):
        write_layout(pair("sd15")[1], "lllyasviel-full")
