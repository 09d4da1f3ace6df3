"""LoRA files: one set of updates read from every layout, diffusers' own converter as a witness, and files that do not fit."""

import copy
import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from diffusers.loaders import lora_conversion_utils
from diffusers.utils.state_dict_utils import (
    convert_state_dict_to_diffusers,
    convert_state_dict_to_peft,
    convert_unet_state_dict_to_peft,
)
from torch import Tensor

from tests import loras
from tests.loras import ALPHA, Factors, Parts, Updates, agree, build_parts, is_attention, random_updates
from tests.tiny import FAMILIES, numbers
from zeroconv.checkpoints.architecture.unet_shape import UNetShape
from zeroconv.checkpoints.formats.lora import lora_updates, read_lora
from zeroconv.checkpoints.formats.lora_update import LowRankUpdate
from zeroconv.checkpoints.keys.lora import original_spellings, own_spellings
from zeroconv.checkpoints.keys.unet import unet_table
from zeroconv.messages import Message, listen

TOLD = {"lora_adapter_metadata": json.dumps({"lora_alpha": ALPHA, "r": 2})}


@cache
def parts_of(family: str) -> Parts:
    return build_parts(family)


@cache
def updates_of(family: str) -> Updates:
    return random_updates(parts_of(family))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("layout", ["kohya", "kohya, original names", "PEFT", "diffusers"])
def test_every_layout_reads_as_the_same_updates_bit_by_bit(family: str, layout: str) -> None:
    parts, updates = parts_of(family), updates_of(family)
    written = {
        "kohya": lambda: loras.kohya(updates),
        "kohya, original names": lambda: loras.kohya_original(updates, parts),
        "PEFT": lambda: loras.peft(updates),
        "diffusers": lambda: loras.diffusers(updates),
    }[layout]()
    read = lora_updates(written, TOLD if layout == "PEFT" else {}, parts.shapes())
    assert read.layout == layout
    assert agree(read, updates)


@pytest.mark.parametrize("family", FAMILIES)
def test_processors_of_older_diffusers_hold_the_updates_of_attention(family: str) -> None:
    updates = random_updates(parts_of(family), wanted=is_attention)
    read = lora_updates(loras.processors(updates), {}, parts_of(family).shapes())
    assert read.layout == "diffusers attention processors"
    assert agree(read, updates)


def test_peft_names_with_an_adapter_or_from_peft_itself_read_the_same() -> None:
    parts, updates = parts_of("sd15"), updates_of("sd15")
    for written in (loras.peft(updates, ".default"), loras.peft(updates, ".default_0"), loras.peft_raw(updates)):
        assert agree(lora_updates(written, TOLD, parts.shapes()), updates)


def test_text_encoders_read_the_same_with_text_model_or_without_and_under_both_of_kohya_s_prefixes() -> None:
    parts, updates = parts_of("sdxl"), {**updates_of("sdxl"), "unet": {}}
    updates.pop("unet")
    with_it = {f"{part}.{loras.in_text(part, name)}": pair for part, name, pair in loras.each(updates)}
    without = {f"{part}.{name.removeprefix('text_model.')}": pair for part, name, pair in loras.each(updates)}
    assert with_it.keys() != without.keys()
    for named in (with_it, without):
        written = loras.factors(named, ".lora_A.weight", ".lora_B.weight")
        assert agree(lora_updates(written, TOLD, parts.shapes()), updates)
    first = {"text_encoder": updates["text_encoder"]}
    written = {name.replace("lora_te1_", "lora_te_"): tensor for name, tensor in loras.kohya(first).items()}
    assert agree(lora_updates(written, {}, parts.shapes()), first)


@pytest.mark.parametrize("prefix", ["unet.", "diffusion_model.", "model.diffusion_model."])
@pytest.mark.parametrize("family", FAMILIES)
def test_original_names_with_dots_mean_what_kohya_s_mean_without(family: str, prefix: str) -> None:
    parts, updates = parts_of(family), {"unet": updates_of(family)["unet"]}
    table = unet_table(UNetShape.of_diffusers(parts.shapes()["unet"]))
    theirs = {e.ours[0].removesuffix(".weight"): e.theirs.removesuffix(".weight") for e in table.entries}
    written: dict[str, Tensor] = {}
    for name, pair in updates["unet"].items():
        dotted = prefix + theirs[name]
        written |= {f"{dotted}.lora_down.weight": pair.down, f"{dotted}.lora_up.weight": pair.up}
        written[f"{dotted}.alpha"] = torch.tensor(ALPHA)
    read = lora_updates(written, {}, parts.shapes())
    assert agree(read, updates) and read.layout == "kohya, original names"


def by_diffusers(written: dict[str, Tensor], parts: Parts, original: bool) -> dict[str, dict[str, Factors]]:
    """What diffusers' own converters take a kohya file for."""
    state = copy.copy(written)
    if original:
        convert: Any = lora_conversion_utils._maybe_map_sgm_blocks_to_diffusers  # pyright: ignore[reportPrivateUsage]
        state = convert(state, parts.unet.config)
    state, alphas = lora_conversion_utils._convert_non_diffusers_lora_to_diffusers(state)  # pyright: ignore[reportPrivateUsage]
    assert set(alphas.values()) == {ALPHA}
    found: dict[str, dict[str, Factors]] = {}
    for part, network in parts.networks().items():
        mine = {name.removeprefix(f"{part}."): tensor for name, tensor in state.items() if name.startswith(f"{part}.")}
        if part == "unet":
            mine = convert_unet_state_dict_to_peft(mine)
        else:
            mine = convert_state_dict_to_peft(convert_state_dict_to_diffusers(mine))
        modules = {name.removesuffix(".lora_A.weight") for name in mine if name.endswith(".lora_A.weight")}
        flat = part == "text_encoder"
        found[part] = {
            name.removeprefix("text_model.") if flat else name: Factors(
                mine[f"{name}.lora_A.weight"], mine[f"{name}.lora_B.weight"]
            )
            for name in modules
        }
        assert len(mine) == 2 * len(modules)
        assert {name for name in found[part]} <= {name for name, _ in network.named_modules()}
    return found


def known_to_diffusers(name: str) -> bool:
    """Not SDXL's second time embedding under diffusers' names, which nobody's scripts write."""
    return not name.startswith("add_embedding")


# The original names of SDXL alone: diffusers takes `input_blocks_10` of the others for `input_blocks_1`.
@pytest.mark.parametrize(("family", "original"), [("sd15", False), ("sd21", False), ("sdxl", False), ("sdxl", True)])
def test_kohya_files_mean_the_modules_that_diffusers_says(family: str, original: bool) -> None:
    parts = parts_of(family)
    updates = random_updates(parts, wanted=known_to_diffusers)
    written = loras.kohya_original(updates, parts) if original else loras.kohya(updates)
    assert agree(lora_updates(written, {}, parts.shapes()), by_diffusers(written, parts, original))


def one(name: str, down: Tensor, up: Tensor, **others: Tensor) -> dict[str, Tensor]:
    """A kohya file for one module."""
    tensors = {"lora_down.weight": down, "lora_up.weight": up, **{f"lora_{k}.weight": v for k, v in others.items()}}
    return {f"lora_unet_{name}.{role}": tensor for role, tensor in tensors.items()}


def read_one(written: dict[str, Tensor], metadata: dict[str, str] | None = None, family: str = "sd15") -> LowRankUpdate:
    """The only update of a file for the U-Net."""
    (found,) = lora_updates(written, metadata or {}, parts_of(family).shapes()).updates["unet"].values()
    assert isinstance(found, LowRankUpdate)
    return found


PROJECTION = "down_blocks_1_attentions_0_proj_in"  # a 1x1 convolution in SD 1.5, a linear map in SD 2.1


@pytest.mark.parametrize(("family", "shape"), [("sd15", (32, 32, 1, 1)), ("sd21", (32, 32))])
@pytest.mark.parametrize("tail", [(), (1, 1)])
def test_linear_maps_and_convolutions_of_one_pixel_fit_one_another(
    family: str, shape: tuple[int, ...], tail: tuple[int, ...]
) -> None:
    down, up = numbers(2, 32, seed=1), numbers(32, 2, seed=2)
    update = read_one(one(PROJECTION, down.reshape(2, 32, *tail), up.reshape(32, 2, *tail)), family=family)
    torch.testing.assert_close(update.delta(torch.zeros(shape)), (up @ down).reshape(shape))


def test_a_convolution_of_rank_one_and_one_in_three_parts() -> None:
    name, x = "down_blocks_0_resnets_0_conv1", numbers(1, 16, 6, 6, seed=9)
    down, up, weight = numbers(1, 16, 3, 3, seed=1), numbers(16, 1, 1, 1, seed=2), torch.zeros(16, 16, 3, 3)
    apply = torch.nn.functional.conv2d
    direct = read_one(one(name, down, up))
    torch.testing.assert_close(apply(x, direct.delta(weight)), apply(apply(x, down), up), rtol=1e-4, atol=1e-4)
    down, mid, up = numbers(2, 16, 1, 1, seed=1), numbers(2, 2, 3, 3, seed=2), numbers(16, 2, 1, 1, seed=3)
    split = read_one(one(name, down, up, mid=mid))
    torch.testing.assert_close(apply(x, split.delta(weight)), apply(apply(apply(x, down), mid), up), rtol=1e-4, atol=1e-4)
    for update in (direct, split):
        assert math.isclose(update.size(weight), float(update.delta(weight).norm()), rel_tol=1e-4)


def test_the_scale_is_alpha_over_rank_wherever_alpha_is_told(tmp_path: Path) -> None:
    pair, module = Factors(numbers(4, 16, seed=1), numbers(16, 4, seed=2)), "down_blocks.0.attentions.0.proj_in"
    peft, heard = loras.peft({"unet": {module: pair}}), list[Message]()
    weight, wanted = torch.zeros(16, 16, 1, 1), (pair.up @ pair.down).reshape(16, 16, 1, 1)

    def scale(**settings: Any) -> float:
        return read_one(peft, {"lora_adapter_metadata": json.dumps(settings)}).scale

    with listen(heard.append):
        assert read_one(peft).scale == 1
    assert [message.code for message in heard] == ["file.alpha"]
    assert scale(r=4) == 1
    assert scale(lora_alpha=2) == 0.5
    assert scale(**{"unet.lora_alpha": 8, "text_encoder.lora_alpha": 1}) == 2
    assert scale(lora_alpha=2, alpha_pattern={"attentions.0.proj_in": 6, "jections.0.proj_in": 7}) == 1.5
    assert scale(lora_alpha=2, use_rslora=True) == 1
    assert read_one({**peft, f"unet.{module}.alpha": torch.tensor(12.0)}, TOLD).scale == 3
    safetensors.torch.save_file(peft, tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text(json.dumps({"lora_alpha": 20}), "utf-8")
    assert read_lora(tmp_path, parts_of("sd15").shapes()).updates["unet"][module].delta(weight).equal(5 * wanted)
    safetensors.torch.save_file(
        peft, tmp_path / "pytorch_lora_weights.safetensors", {"lora_adapter_metadata": '{"lora_alpha": 1}'}
    )
    assert read_lora(tmp_path, parts_of("sd15").shapes()).updates["unet"][module].delta(weight).equal(0.25 * wanted)


@pytest.mark.parametrize("family", FAMILIES)
def test_no_name_means_two_modules(family: str) -> None:
    shapes = parts_of(family).shapes()
    own, original = own_spellings(shapes), original_spellings(shapes["unet"])
    assert not own.keys() & original.keys()
    modules = {("unet", name) for name, _ in parts_of(family).unet.named_modules()}
    assert len(set(original.values())) * 5 == len(original) and set(original.values()) <= modules
    assert set(own.values()) >= set(original.values())


Q = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
GOOD = {f"{Q}.lora_down.weight": numbers(2, 16), f"{Q}.lora_up.weight": numbers(16, 2)}
NAN = torch.full((16, 2), math.nan)


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({f"{Q}.hada_w1_a": NAN}, "without its 'hada_w1_b'"),
        ({f"{Q}.lokr_w1": NAN}, "without its 'lokr_w2_a'"),
        ({**GOOD, f"{Q}.dora_scale": numbers(15, 1)}, r"\(15, 1\); expected factors of a weight \(16, 16\)"),
        ({**GOOD, "unet.conv_in.lora_magnitude_vector": NAN}, "without its 'down'"),
        ({**GOOD, f"{Q}.w_norm": NAN}, "differences of norms"),
        ({**GOOD, f"{Q}.lora_up.bias": NAN}, "LoRA with biases"),
        ({f"{Q}.weight": NAN, f"{Q}.on_input": NAN}, r"\(IA\)3"),
        ({f"{Q}.diff": NAN}, "whole differences"),
        ({"lora_controlnet": NAN, "input_blocks.0.0.down": NAN}, "Control-LoRA"),
        ({}, "no LoRA tensors: it has 0 tensors; expected"),
        ({"model.diffusion_model.out.2.weight": NAN}, "no LoRA tensors: .* 'model.diffusion_model.out.2.weight'"),
        ({**GOOD, "lora_unet_elsewhere.lora_up.weight": NAN}, "1 of 3 tensors .* 'lora_unet_elsewhere.lora_up.weight'"),
        ({**GOOD, "emb_params": NAN}, "1 of 3 tensors .* 'emb_params'"),
        ({**GOOD, "lora_te2_text_projection.alpha": NAN}, "1 of 3 tensors"),
        ({f"{Q}.lora_down.weight": numbers(2, 16)}, f"'{Q}.lora_down.weight' without its 'up'"),
        ({f"{Q}.lora_up.weight": numbers(2, 16), f"{Q}.alpha": torch.ones(())}, "without its 'down'"),
        ({**GOOD, f"{Q}.lora_up.weight": NAN}, f"'{Q}.lora_up.weight' holds numbers that are not finite"),
        ({**GOOD, f"{Q}.alpha": torch.tensor(math.inf)}, f"'{Q}.alpha' holds numbers that are not finite"),
        ({**GOOD, f"{Q}.alpha": torch.ones(2)}, "holds 2 numbers; expected one"),
        ({**GOOD, f"{Q}.lora_up.weight": numbers(17, 2)}, r"\(17, 2\); expected factors of a weight \(16, 16\)"),
        ({**GOOD, f"{Q}.lora_down.weight": numbers(2, 15)}, r"\(2, 15\)"),
        ({f"{Q}.lora_down.weight": numbers(0, 16), f"{Q}.lora_up.weight": numbers(16, 0)}, r"\(0, 16\)"),
        ({**GOOD, f"{Q}.lora_mid.weight": numbers(2, 2, 3, 3)}, r"\(2, 2, 3, 3\)"),
        ({**GOOD, f"{Q}.lora_A.weight": numbers(2, 16)}, "has both"),
    ],
)
def test_what_is_no_lora_for_this_base_is_refused_in_one_line(tensors: dict[str, Tensor], words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        lora_updates(tensors, {}, parts_of("sd15").shapes(), "it.safetensors")
    assert "it.safetensors" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[]", "a list; expected a JSON object"),
        ('{"lora_alpha": "2"}', "lora_alpha is '2'"),
        ('{"lora_alpha": NaN}', "lora_alpha is nan"),
        ('{"alpha_pattern": {"(a+)+$": 1}}', "expected plain names"),
    ],
)
def test_adapter_settings_that_cannot_be_understood_are_refused(settings: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        lora_updates(GOOD, {"lora_adapter_metadata": settings}, parts_of("sd15").shapes())


@pytest.mark.parametrize("original", [False, True])
def test_a_lora_of_another_family_is_named(original: bool) -> None:
    shapes = build_parts("sd15", cross_attention_dim=768).shapes()
    other = build_parts("sdxl", cross_attention_dim=2048)
    updates = random_updates(other, wanted=is_attention)
    written = loras.kohya_original(updates, other) if original else loras.peft(updates)
    expected = r"made for SDXL \(text width 2048\), the base is SD 1.5 \(text width 768\)"
    with pytest.raises(ValueError, match=expected):
        lora_updates(written, {}, shapes)
    with pytest.raises(ValueError, match=r"the base is a network of text width 16"):
        lora_updates(written, {}, parts_of("sd15").shapes())
