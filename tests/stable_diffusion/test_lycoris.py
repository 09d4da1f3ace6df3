"""LoHa, LoKr and DoRA: merged as PEFT merges them, under LyCORIS' names too, and laws of each."""

import copy
import json
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from torch import Tensor, nn

from tests.loras import KOHYA, build_parts
from tests.tiny import numbers
from zeroconv.checkpoints.formats.lora import lora_updates
from zeroconv.checkpoints.formats.lora_update import WeightUpdate
from zeroconv.messages import listen
from zeroconv.stable_diffusion.lora import add_lora

TARGETS = ["to_q", "to_v", "ff.net.2", "conv1", "proj_in"]
CONFIGS: dict[str, Any] = {
    "LoHa": lambda: peft.LoHaConfig(r=3, alpha=2, target_modules=TARGETS, init_weights=False),
    "LoHa with cores": lambda: peft.LoHaConfig(
        r=3, alpha=2, target_modules=TARGETS, init_weights=False, use_effective_conv2d=True
    ),
    "LoKr": lambda: peft.LoKrConfig(r=2, alpha=3, target_modules=TARGETS, init_weights=False),
    "LoKr of four factors": lambda: peft.LoKrConfig(
        r=1, alpha=3, target_modules=TARGETS, init_weights=False, decompose_both=True, use_effective_conv2d=True
    ),
    "LoKr with cores": lambda: peft.LoKrConfig(
        r=2, alpha=3, target_modules=TARGETS, init_weights=False, use_effective_conv2d=True
    ),
    "DoRA": lambda: peft.LoraConfig(r=3, lora_alpha=2, target_modules=TARGETS, init_lora_weights=False, use_dora=True),
}


def trained(unet: nn.Module, kind: str) -> tuple[Any, dict[str, Tensor]]:
    """A U-Net with random updates of a kind by PEFT, and the file it would save."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        wrapped: Any = peft.get_peft_model(copy.deepcopy(unet), CONFIGS[kind]())  # pyright: ignore[reportArgumentType]
    for name, parameter in wrapped.named_parameters():
        if "magnitude" in name:  # at first the length of the weight, which would undo nothing but the direction
            parameter.data *= 1 + 0.3 * numbers(*parameter.shape, seed=len(name))
    return wrapped, dict(peft.get_peft_model_state_dict(wrapped))


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
@pytest.mark.parametrize("kind", CONFIGS)
def test_a_file_of_peft_is_merged_as_peft_merges_it(kind: str, family: str, tmp_path: Path) -> None:
    parts = build_parts(family)
    before = copy.deepcopy(parts.unet.state_dict())
    wrapped, _ = trained(parts.unet, kind)
    wrapped.save_pretrained(tmp_path)
    report = add_lora(parts, tmp_path)
    assert report.kind == kind.split()[0]
    expected = wrapped.merge_and_unload().state_dict()
    changed = [name for name, tensor in parts.unet.state_dict().items() if not torch.equal(tensor, before[name])]
    assert len(changed) == report.modules["unet"] > 10
    for name, tensor in parts.unet.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", CONFIGS)
def test_kohya_names_mean_the_same_updates(kind: str) -> None:
    parts = build_parts("sd15")
    _, tensors = trained(parts.unet, kind)
    roles = {"lora_A.weight": "lora_down.weight", "lora_B.weight": "lora_up.weight", "lora_magnitude_vector": "dora_scale"}
    written: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        role = next((old for old in roles if name.endswith(f".{old}")), name.rpartition(".")[2])
        module = name.removesuffix(f".{role}").removeprefix("base_model.model.")
        if role == "lora_magnitude_vector":  # (o,) or (1, o, 1, 1) there, (o, 1) or (o, 1, 1, 1) in LyCORIS
            tensor = tensor.reshape(-1, *[1] * (3 if tensor.ndim == 4 else 1))
        written[f"{KOHYA['unet']}{module.replace('.', '_')}.{roles.get(role, role)}"] = tensor
        written[f"{KOHYA['unet']}{module.replace('.', '_')}.alpha"] = torch.tensor(3.0 if "LoKr" in kind else 2.0)
    settings = {"lora_adapter_metadata": json.dumps({"alpha": 3} if "LoKr" in kind else {"alpha": 2})}
    theirs = lora_updates(written, {}, parts.shapes()).updates["unet"]
    ours = lora_updates(tensors, settings, parts.shapes()).updates["unet"]
    assert theirs.keys() == ours.keys()
    for name, update in ours.items():
        weight = parts.unet.get_parameter(f"{name}.weight")
        assert torch.equal(update.delta(weight), theirs[name].delta(weight))


def only(written: dict[str, Tensor], module: str = "down_blocks.0.attentions.0.transformer_blocks.0.ff.net.2") -> WeightUpdate:
    """The update of one module of SD 1.5."""
    tensors = {f"unet.{module}.{role}": tensor for role, tensor in written.items()}
    with listen(lambda _: None):
        (found,) = lora_updates(tensors, {}, build_parts("sd15").shapes()).updates["unet"].values()
    return found


def test_lengths_of_inputs_or_outputs_are_told_apart_by_their_shape() -> None:
    weight, down, up = numbers(16, 64, seed=3), numbers(2, 64, seed=1) * 0.1, numbers(16, 2, seed=2) * 0.1
    lora = {"lora_down.weight": down, "lora_up.weight": up, "alpha": torch.tensor(2.0)}
    turned = weight + up @ down
    outputs, inputs = numbers(16, 1, seed=4).abs(), numbers(1, 64, seed=5).abs()
    for lengths, norms in ((outputs, turned.norm(dim=1, keepdim=True)), (inputs, turned.norm(dim=0, keepdim=True))):
        made = weight + only({**lora, "dora_scale": lengths}).delta(weight)
        torch.testing.assert_close(made, lengths * turned / norms)
        torch.testing.assert_close(made.norm(dim=1 if lengths is outputs else 0), lengths.flatten())


def test_unchanged_lengths_and_no_turn_change_nothing() -> None:
    weight = numbers(16, 64, seed=3)
    still = only({
        "lora_down.weight": numbers(2, 64), "lora_up.weight": torch.zeros(16, 2), "dora_scale": weight.norm(dim=1, keepdim=True)
    })  # fmt: skip
    assert still.size(weight) < 1e-5


def test_two_whole_matrices_have_no_scale() -> None:
    one, other, weight = numbers(4, 8, seed=1), numbers(4, 8, seed=2), torch.zeros(16, 64)
    update = only({"lokr_w1": one, "lokr_w2": other, "alpha": torch.tensor(7.0)})
    assert update.rank is None
    torch.testing.assert_close(update.delta(weight), torch.kron(one, other))


@pytest.mark.parametrize("kind", CONFIGS)
def test_half_the_weight_goes_half_the_way(kind: str, tmp_path: Path) -> None:
    parts, whole = build_parts("sd15"), build_parts("sd15")
    before = copy.deepcopy(parts.unet.state_dict())
    trained(parts.unet, kind)[0].save_pretrained(tmp_path)
    add_lora(whole, tmp_path)
    add_lora(parts, tmp_path, 0.5)
    for name, tensor in parts.unet.state_dict().items():
        torch.testing.assert_close(tensor, (before[name] + whole.unet.state_dict()[name]) / 2, rtol=1e-4, atol=1e-5)
