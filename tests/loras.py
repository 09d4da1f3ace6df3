"""The same random low-rank updates under the names of every layout that LoRA files have."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from tests.tiny import FAMILIES, build_unet, randomized
from zeroconv.checkpoints.architecture.unet_shape import UNetShape
from zeroconv.checkpoints.formats.lora import Lora
from zeroconv.checkpoints.formats.lora_update import LowRankUpdate
from zeroconv.checkpoints.keys.unet import unet_table

ALPHA = 3.0
ATTENTION = ("to_q", "to_k", "to_v", "to_out.0", "q_proj", "k_proj", "v_proj", "out_proj")
KOHYA = {"unet": "lora_unet_", "text_encoder": "lora_te1_", "text_encoder_2": "lora_te2_"}
OLD = {"to_out.0": "to_out", "q_proj": "to_q", "k_proj": "to_k", "v_proj": "to_v", "out_proj": "to_out"}


@dataclass
class Parts:
    """What a LoRA changes of a base."""

    unet: Any
    text_encoder: Any
    text_encoder_2: Any = None

    def networks(self) -> dict[Any, nn.Module]:
        found = {"unet": self.unet, "text_encoder": self.text_encoder, "text_encoder_2": self.text_encoder_2}
        return {part: network for part, network in found.items() if network is not None}

    def shapes(self) -> dict[Any, dict[str, tuple[int, ...]]]:
        """Of every tensor of every network."""
        return {
            part: {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
            for part, network in self.networks().items()
        }


class Factors(NamedTuple):
    """A random update: down (r, i[, k, k]), up (o, r[, 1, 1])."""

    down: Tensor
    up: Tensor


Updates = dict[str, dict[str, Factors]]


def build_parts(family: str, **settings: Any) -> Parts:
    """The networks of a tiny base, with its second text encoder for SDXL."""
    config = CLIPTextConfig(
        vocab_size=32,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        projection_dim=16,
        bos_token_id=30,
        eos_token_id=31,
        pad_token_id=31,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        text, second = CLIPTextModel(config).eval(), CLIPTextModelWithProjection(config).eval()
    parts = Parts(build_unet({**FAMILIES[family], **settings}), text, second if family == "sdxl" else None)
    for network in parts.networks().values():
        randomized(network, 1).requires_grad_(False)
    return parts


def random_updates(parts: Parts, rank: int = 2, seed: int = 0, wanted: Callable[[str], bool] = lambda _: True) -> Updates:
    """Random factors for the wanted linear maps and convolutions of every network."""
    drawn = torch.Generator().manual_seed(seed)
    updates: Updates = {}
    for part, network in parts.networks().items():
        updates[part] = {}
        for name, module in network.named_modules():
            if isinstance(module, (nn.Linear, nn.Conv2d)) and wanted(name):
                out, *sides = module.weight.shape
                down = torch.randn(rank, *sides, generator=drawn) * 0.1
                updates[part][name] = Factors(down, torch.randn(out, rank, *[1] * (len(sides) - 1), generator=drawn) * 0.1)
    return updates


def is_attention(name: str) -> bool:
    """Whether diffusers' processors could hold an update of this module."""
    return name.endswith(ATTENTION)


def kohya(updates: Updates) -> dict[str, Tensor]:
    """As kohya's scripts write them for SD 1.x and 2.x."""
    named = {KOHYA[part] + in_text(part, name).replace(".", "_"): pair for part, name, pair in each(updates)}
    return factors(named, ".lora_down.weight", ".lora_up.weight") | {f"{name}.alpha": torch.tensor(ALPHA) for name in named}


def kohya_original(updates: Updates, parts: Parts) -> dict[str, Tensor]:
    """As kohya's scripts write them for SDXL: the U-Net in the names of its authors."""
    table = unet_table(UNetShape.of_diffusers(parts.shapes()["unet"]))
    theirs = {e.ours[0].removesuffix(".weight"): e.theirs.removesuffix(".weight") for e in table.entries}
    unet = {theirs[name]: pair for name, pair in updates["unet"].items()}
    return kohya({**updates, "unet": unet})


def peft(updates: Updates, adapter: str = "") -> dict[str, Tensor]:
    """As diffusers saves what PEFT trained; alpha is told elsewhere."""
    named = {f"{part}.{name}": pair for part, name, pair in each(updates)}
    return factors(named, f".lora_A{adapter}.weight", f".lora_B{adapter}.weight")


def peft_raw(updates: Updates) -> dict[str, Tensor]:
    """As PEFT itself saves one network."""
    named = {f"base_model.model.{name}": pair for part, name, pair in each(updates) if part != "text_encoder_2"}
    return factors(named, ".lora_A.weight", ".lora_B.weight")


def diffusers(updates: Updates) -> dict[str, Tensor]:
    """As diffusers saved them before PEFT."""
    unet = {f"unet.{name}": pair for part, name, pair in each(updates) if part == "unet"}
    text = {f"{part}.{in_text(part, name)}": pair for part, name, pair in each(updates) if part != "unet"}
    ends = (".lora_linear_layer.down.weight", ".lora_linear_layer.up.weight")
    made = factors(unet, ".lora.down.weight", ".lora.up.weight") | factors(text, *ends)
    return made | {f"{name}.alpha": torch.tensor(ALPHA) for name in unet | text}


def processors(updates: Updates) -> dict[str, Tensor]:
    """As diffusers saved them first: of attention alone, under the names of its processors."""
    named: dict[str, Factors] = {}
    for part, name, pair in each(updates):
        tail = next(tail for tail in ATTENTION if name.endswith(f".{tail}"))
        attention = in_text(part, name).removesuffix(f".{tail}") + (".processor" if part == "unet" else "")
        named[f"{part}.{attention}.{OLD.get(tail, tail)}"] = pair
    made = factors(named, "_lora.down.weight", "_lora.up.weight")
    return made | {f"{name}_lora.alpha": torch.tensor(ALPHA) for name in named}


def each(updates: Updates) -> list[tuple[str, str, Factors]]:
    """Part, module and factors, one after the other."""
    return [(part, name, pair) for part, modules in updates.items() for name, pair in modules.items()]


def in_text(part: str, name: str) -> str:
    """A module's name where a text encoder's tensors all stand under `text_model`."""
    bare = name.removeprefix("text_model.")
    return name if part == "unet" or bare == "text_projection" else f"text_model.{bare}"


def factors(named: dict[str, Factors], down: str, up: str) -> dict[str, Tensor]:
    """Both tensors of every module."""
    return {name + down: pair.down for name, pair in named.items()} | {name + up: pair.up for name, pair in named.items()}


def agree(lora: Lora, updates: Updates, alpha: float | None = ALPHA) -> bool:
    """Whether a file was read as exactly these updates, bit by bit."""
    if {part: set(found) for part, found in lora.updates.items()} != {part: set(found) for part, found in updates.items()}:
        return False
    pairs = [(update, updates[part][name]) for part, found in lora.updates.items() for name, update in found.items()]
    return all(
        isinstance(update, LowRankUpdate)
        and update.alpha == alpha
        and torch.equal(update.down, pair.down)
        and torch.equal(update.up, pair.up.flatten(1))
        for update, pair in pairs
    )
