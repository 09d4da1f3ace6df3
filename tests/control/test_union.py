"""ControlNet-Union: the residuals of diffusers' `ControlNetUnionModel`, one condition at a time and several together."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.controlnets.controlnet_union import ControlNetUnionModel
from safetensors.torch import save_file
from torch import Tensor

from tests.tiny import SDXL, UNION, as_keywords, build_inputs, build_map, build_pooled, build_unet, count_calls, randomized
from zeroconv import Control, ControlNet, ControlPipeline, StableDiffusion
from zeroconv.checkpoints import read_safetensors
from zeroconv.checkpoints.formats.controlnet_union import UNION_CONDITIONS
from zeroconv.checkpoints.inspect.describe import describe
from zeroconv.control import ActiveControl, ControlledUNet
from zeroconv.conversion.controlnet import ConversionOptions, convert_control
from zeroconv.errors import InputError
from zeroconv.messages import listen

Theirs = tuple[Sequence[Tensor], Tensor]


@pytest.fixture(scope="module")
def union() -> Any:
    """ProMax's eight control types, at the sizes of the tiny base of the XL family."""
    return randomized(ControlNetUnionModel(**UNION), 3).eval()


@pytest.fixture(scope="module")
def folder(union: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    union.save_pretrained(path := tmp_path_factory.mktemp("union"))
    return path


def ask(
    union: Any, inputs: tuple[Tensor, ...], images: list[Tensor], types: list[int], scales: list[float], pooled: Any = None
) -> Theirs:
    """The residuals that diffusers computes."""
    z_t, t, text = inputs
    marked = torch.zeros(len(z_t), 8)
    marked[:, types] = 1
    added = as_keywords(pooled or build_pooled(union, len(z_t)))
    with torch.no_grad():
        return union(z_t, t, text, images, marked, types, scales, return_dict=False, **added)


def same(ours: Sequence[Tensor], theirs: Theirs) -> None:
    for one, other in zip(ours, (*theirs[0], theirs[1]), strict=True):
        assert one.abs().max() > 1e-3
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5 * max(1.0, other.abs().max().item()))


@torch.no_grad()
@pytest.mark.parametrize("condition", [name for names in UNION_CONDITIONS for name in names])
def test_a_condition_alone_is_that_of_diffusers(union: Any, folder: Path, condition: str) -> None:
    z_t, t, text, image = build_inputs(union, batch=2)
    image = image[:1].expand(2, -1, -1, -1)  # rows of one batch meet each other in diffusers
    network = ControlNet.from_pretrained(f"{folder}#{condition}").eval()
    kind = next(index for index, names in enumerate(UNION_CONDITIONS) if condition in names)
    residuals = network(z_t, t, text, image, added_conditions=build_pooled(union))
    same(residuals.values(), ask(union, (z_t, t, text), [image], [kind], [1.0]))


@torch.no_grad()
def test_every_condition_is_another_network(folder: Path, union: Any) -> None:
    z_t, t, text, image = build_inputs(union, batch=1)
    network = ControlNet.from_pretrained(f"{folder}#pose")
    found = [
        network.follow(names[0])(z_t, t, text, image, added_conditions=build_pooled(union, 1)).middle
        for names in UNION_CONDITIONS
    ]
    assert all((one - other).abs().max() > 1e-3 for i, one in enumerate(found) for other in found[:i])


@torch.no_grad()
def test_several_conditions_are_given_to_it_at_a_time(union: Any, folder: Path) -> None:
    z_t, t, text, _ = build_inputs(union, batch=1)
    images = [torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(seed)) for seed in (5, 6, 7)]
    network = ControlNet.from_pretrained(folder).eval()
    features, embedding = network.encode_conditions(["pose", "depth", "tile"], images, [0.7, 1.2, -0.5])
    ours = network(z_t, t, text, features=features, control_embedding=embedding, added_conditions=build_pooled(union, 1))
    same(ours.values(), ask(union, (z_t, t, text), images, [0, 1, 6], [0.7, 1.2, -0.5]))


@torch.no_grad()
def test_rows_do_not_meet(folder: Path, union: Any) -> None:
    """In diffusers the tokens of a batch's pictures attend to each other; a picture here is the same alone."""
    z_t, t, text, images = build_inputs(union, batch=2)
    network = ControlNet.from_pretrained(f"{folder}#depth").eval()
    pooled = build_pooled(union)
    assert pooled is not None
    both = network(z_t, t, text, images, added_conditions=pooled)
    for row in range(2):
        one = slice(row, row + 1)
        own = pooled.map(lambda tensor, one=one: tensor[one])
        alone = network(z_t[one], t[one], text[one], images[one], added_conditions=own)
        torch.testing.assert_close(alone.middle, both.middle[one], rtol=0, atol=1e-5)
        theirs = ask(union, (z_t[one], t[one], text[one]), [images[one]], [1], [1.0], own)
        torch.testing.assert_close(alone.middle, theirs[1], rtol=0, atol=1e-5)


def test_a_hole_is_black(folder: Path) -> None:
    network, image = ControlNet.from_pretrained(f"{folder}#inpaint"), torch.rand(1, 3, 64, 64)
    image[..., :32] = -1
    assert torch.equal(network.encode_condition(image), network.encode_condition(image.clamp(min=0)))


def test_it_is_opened_from_every_form_and_written_again(union: Any, folder: Path, tmp_path: Path) -> None:
    tensors = {name: tensor.clone() for name, tensor in union.state_dict().items()}
    save_file(tensors, tmp_path / "promax.safetensors")
    convert_control(folder, tmp_path / "again", ConversionOptions("diffusers"))
    base = build_unet(SDXL)
    file = ControlNet.from_pretrained(f"{tmp_path / 'promax.safetensors'}#depth", unet=base)
    for network in (file, ControlNet.from_pretrained(f"{tmp_path / 'again'}#depth"), ControlNet.from_pretrained(folder)):
        assert network.config.union is not None and network.config.union.num_control_type == 8
        assert all(torch.equal(tensor, tensors[name]) for name, tensor in network.state_dict().items())
    diffusers: Any = ControlNetUnionModel.from_pretrained(tmp_path / "again")
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in diffusers.state_dict().items())
    file.save_pretrained(tmp_path / "saved")
    assert ControlNet.from_pretrained(tmp_path / "saved").config == file.config
    for path in (folder, tmp_path / "promax.safetensors", tmp_path / "again"):
        found = describe(path, hashed=False)
        assert (found.kind, found.refused) == ("ControlNet", None)
        assert found.details["network"].startswith("a ControlNet-Union") and "segmentation, tile" in found.details["conditions"]


def test_what_it_cannot_follow_is_one_line(folder: Path, union: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must be told its condition: expected NAME#CONDITION with one of pose"):
        ControlNet.from_pretrained(f"{folder}#").eval().embed_condition()
    with pytest.raises(InputError, match=r"no control type for 'shuffle'; expected one of pose, depth, soft-edge"):
        ControlNet.from_pretrained(f"{folder}#shuffle")
    z_t, t, text, image = build_inputs(union)
    network = ControlNet.from_pretrained(folder)
    with pytest.raises(InputError, match=r"must be told its condition: expected NAME#CONDITION with one of pose"):
        network(z_t, t, text, image, added_conditions=build_pooled(union))
    with pytest.raises(InputError, match=r"tiny-canny follows 'canny' alone; expected a ControlNet-Union"):
        ControlNet.from_pretrained("tiny-canny").follow("depth")
    fewer: dict[str, Any] = {**UNION, "num_control_type": 6}
    six = ControlNetUnionModel(**fewer)
    six.save_pretrained(tmp_path / "six")
    with pytest.raises(InputError, match="no control type for 'tile'"):
        ControlNet.from_pretrained(tmp_path / "six", condition="tile")
    with pytest.raises(ValueError, match=r"has no place in the layout 'webui'"):
        convert_control(folder, tmp_path / "union.safetensors", ConversionOptions("webui"))
    for name in ("task_embedding", "transformer_layes.1.ln_2.bias", "control_add_embedding.linear_2.weight"):
        cut = {
            key: tensor
            for key, tensor in read_safetensors(folder / "diffusion_pytorch_model.safetensors").items()
            if key != name
        }
        save_file(cut, tmp_path / "cut.safetensors")
        with pytest.raises(ValueError, match=name):
            ControlNet.from_pretrained(f"{tmp_path / 'cut.safetensors'}#depth", unet=build_unet(SDXL))
        assert name in str(describe(tmp_path / "cut.safetensors", hashed=False).refused)
    config = json.loads((tmp_path / "six" / "config.json").read_text())
    for key, value in (
        ("controlnet_conditioning_channel_order", "bgr"),
        ("num_control_type", -1),
        ("num_trans_channel", 1e9),
        ("num_proj_channel", 8),
        ("num_trans_layer", "2"),
    ):
        (tmp_path / "six" / "config.json").write_text(json.dumps({**config, key: value}))
        with pytest.raises(ValueError, match=key):
            ControlNet.from_pretrained(tmp_path / "six")


def control_of(network: ControlNet, seed: int, **settings: Any) -> Control:
    """A control by a map of random colours, which would be told to be none."""
    image = build_map(seed=seed)
    return Control(network, image, checked=image, **settings)


@torch.no_grad()
def test_a_picture_of_several_conditions_runs_it_once(union: Any, folder: Path, xl: StableDiffusion) -> None:
    network = ControlNet.from_pretrained(f"{folder}#depth", unet=xl.unet)
    depth, pose = (control_of(network.follow(name), i, scale=s) for i, name, s in ((1, "depth", 0.8), (2, "pose", 0.6)))
    calls = count_calls(network)
    pipeline = ControlPipeline(xl)
    settings: dict[str, Any] = {"num_inference_steps": 2, "guidance_scale": 3.0}
    together = pipeline("a red house", [depth, pose], **settings).latents
    assert calls == [2, 2]  # both sides of guidance, at two steps
    controlled, images = ControlledUNet(xl.unet), [control.tensor_of(0)[None] for control in (depth, pose)]
    z_t, t, text, _ = build_inputs(union, batch=1)
    features, embedding = network.encode_conditions(["depth", "pose"], images, [0.8, 0.6])
    active = ActiveControl(network, features, control_embedding=embedding)
    pooled = build_pooled(union, 1)
    predicted = controlled(z_t, t, text, [active], pooled)
    skips, middle = ask(union, (z_t, t, text), images, [1, 0], [0.8, 0.6])
    wanted = xl.unet(
        z_t, t, text, down_block_additional_residuals=skips, mid_block_additional_residual=middle, **as_keywords(pooled)
    ).sample
    torch.testing.assert_close(predicted, wanted, rtol=0, atol=1e-5)
    calls.clear()
    apart = pipeline("a red house", [depth, control_of(pose.network, 2, scale=0.6, end=0.5)], **settings).latents
    assert calls == [2, 2, 2] and (apart - together).abs().max() > 1e-4
    with listen(lambda message: None):
        off = pipeline("a red house", [depth, control_of(pose.network, 2, scale=0.0)], **settings).latents
    assert torch.equal(off, pipeline("a red house", [depth], **settings).latents)


def test_words_of_published_names_are_understood(folder: Path) -> None:
    assert ControlNet.from_pretrained(f"{folder}#openpose").config.condition == "pose"
    assert ControlNet.from_pretrained("tiny-canny#scribble").config.condition == "scribble"
