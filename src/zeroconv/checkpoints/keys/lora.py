"""Other people's names for low-rank updates: a dictionary of every spelling of every module, made from our own names.

No name of a file is ever taken apart at its underscores: it is looked up, or it is unknown.
"""

from collections.abc import Collection, Iterable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Literal

from zeroconv.checkpoints.architecture.families import FAMILIES, FamilyKey
from zeroconv.checkpoints.architecture.published import PUBLISHED
from zeroconv.checkpoints.architecture.unet_shape import UNetShape
from zeroconv.checkpoints.keys.table import Table
from zeroconv.checkpoints.keys.text_encoder import clip_table
from zeroconv.checkpoints.keys.unet import unet_table

__all__ = [
    "BUNDLED", "ENDINGS", "Part", "Place", "Role", "Shapes", "kind_of", "layout_of", "original_spellings", "own_modules",
    "own_spellings",     "published_spellings", "split",
]  # fmt: skip

Part = Literal["unet", "text_encoder", "text_encoder_2"]
Role = Literal[
    "down", "up", "mid", "alpha", "magnitude", "dora_scale", "hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1",
    "hada_t2", "lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2",
]  # fmt: skip
Place = tuple[Part, str]
Shapes = Mapping[str, tuple[int, ...]]

ENDINGS: dict[str, tuple[Role, str]] = {
    "_lora.down.weight": ("down", "diffusers attention processors"),
    "_lora.up.weight": ("up", "diffusers attention processors"),
    "_lora.alpha": ("alpha", ""),
    ".lora.down.weight": ("down", "diffusers"),
    ".lora.up.weight": ("up", "diffusers"),
    ".lora.alpha": ("alpha", ""),
    ".lora_linear_layer.down.weight": ("down", "diffusers"),
    ".lora_linear_layer.up.weight": ("up", "diffusers"),
    ".lora_linear_layer.alpha": ("alpha", ""),
    ".lora_down.weight": ("down", "kohya"),
    ".lora_up.weight": ("up", "kohya"),
    ".lora_mid.weight": ("mid", "kohya"),
    ".lora_A.weight": ("down", "PEFT"),
    ".lora_B.weight": ("up", "PEFT"),
    ".lora_A.default.weight": ("down", "PEFT"),
    ".lora_B.default.weight": ("up", "PEFT"),
    ".lora_A.default_0.weight": ("down", "PEFT"),
    ".lora_B.default_0.weight": ("up", "PEFT"),
    ".lora_magnitude_vector.default.weight": ("magnitude", ""),
    ".lora_magnitude_vector.weight": ("magnitude", ""),
    ".lora_magnitude_vector.default": ("magnitude", ""),
    ".lora_magnitude_vector": ("magnitude", ""),
    ".dora_scale": ("dora_scale", ""),
    ".hada_w1_a": ("hada_w1_a", "LyCORIS"),
    ".hada_w1_b": ("hada_w1_b", "LyCORIS"),
    ".hada_w2_a": ("hada_w2_a", "LyCORIS"),
    ".hada_w2_b": ("hada_w2_b", "LyCORIS"),
    ".hada_t1": ("hada_t1", "LyCORIS"),
    ".hada_t2": ("hada_t2", "LyCORIS"),
    ".lokr_w1": ("lokr_w1", "LyCORIS"),
    ".lokr_w1_a": ("lokr_w1_a", "LyCORIS"),
    ".lokr_w1_b": ("lokr_w1_b", "LyCORIS"),
    ".lokr_w2": ("lokr_w2", "LyCORIS"),
    ".lokr_w2_a": ("lokr_w2_a", "LyCORIS"),
    ".lokr_w2_b": ("lokr_w2_b", "LyCORIS"),
    ".lokr_t2": ("lokr_t2", "LyCORIS"),
    ".alpha": ("alpha", ""),
}
"""How a tensor's name ends -> what the tensor is, and whose habit that is. Long endings stand before their own tails."""

ANY_ENDING = tuple(ENDINGS)

OTHER_KINDS = {
    "lora_controlnet.": "a Control-LoRA, which is a ControlNet",
    ".on_input.": "(IA)3",
    ".oft_": "OFT",
    ".a1.weight.": "GLoRA",
    ".diff.": "whole differences",
    ".diff_b.": "whole differences",
    ".w_norm.": "differences of norms",
    ".b_norm.": "differences of norms",
    ".lora_B.bias.": "LoRA with biases",
    ".lora_up.bias.": "LoRA with biases",
    ".lora_down.bias.": "LoRA with biases",
    ".lora_embedding_": "LoRA of embeddings",
}
"""Marks, in a name with a dot after it, of what travels in LoRA files without being an update that can be added here."""

UNDERSCORED: dict[Part, tuple[str, ...]] = {
    "unet": ("lora_unet_", "lycoris_"),
    "text_encoder": ("lora_te_", "lora_te1_"),
    "text_encoder_2": ("lora_te2_",),
}
DOTTED: dict[Part, tuple[str, ...]] = {
    "unet": ("unet.", "unet.base_model.model.", "base_model.model.", ""),
    "text_encoder": ("text_encoder.", "text_encoder.base_model.model.", "base_model.model.", ""),
    "text_encoder_2": ("text_encoder_2.", "text_encoder_2.base_model.model."),
}
TEXT_PARTS: tuple[Part, ...] = ("text_encoder", "text_encoder_2")
ORIGINAL = ("unet.", "diffusion_model.", "model.diffusion_model.")
BUNDLED = "bundle_emb."
"""What stands before the textual-inversion embeddings that some trainers put into a LoRA's file."""

PROCESSORS = {
    ".to_q": ".processor.to_q",
    ".to_k": ".processor.to_k",
    ".to_v": ".processor.to_v",
    ".to_out.0": ".processor.to_out",
}
TEXT_PROCESSORS = {".q_proj": ".to_q", ".k_proj": ".to_k", ".v_proj": ".to_v", ".out_proj": ".to_out"}


def split(name: str) -> tuple[str, str] | None:
    """A tensor's name as what it calls its module, and the ending (a key of `ENDINGS`); None if it has no such ending."""
    if not name.endswith(ANY_ENDING):  # of the 100,000 names that a file may have, most are no LoRA's
        return None
    ending = next(ending for ending in ENDINGS if name.endswith(ending))
    return name.removesuffix(ending), ending


def kind_of(name: str) -> str | None:
    """What kind of update a tensor belongs to, by a mark in its name, where it is none that can be read; else None."""
    return next((kind for mark, kind in OTHER_KINDS.items() if mark in f"{name}."), None)


def layout_of(endings: Iterable[str], original: bool) -> str:
    """The layout of a file for people, from the endings of its names; `original`: it calls modules as their authors did."""
    habits = sorted({habit for _, habit in (ENDINGS[ending] for ending in endings) if habit})
    return " + ".join(habits) + (", original names" if original else "")


def own_spellings(shapes: Mapping[Part, Shapes]) -> dict[str, Place]:
    """Every way to write the modules' own names -> the part, and the module's name in it.

    Args:
        shapes: of all tensors of each network of a base, under their own names.
    """
    return spell({part: modules_of(tensors) for part, tensors in shapes.items()})


def original_spellings(unet: Shapes) -> dict[str, Place]:
    """The original names of a U-Net's modules, as kohya's scripts write them for SDXL, and with dots -> part and our name."""
    return spell_originals(UNetShape.of_diffusers(unet), modules_of(unet))


@cache
def published_spellings(family: FamilyKey) -> Mapping[str, Place]:
    """Every way to write the modules of a family's published base -> the part, and our name."""
    parts = published_modules(family)
    return MappingProxyType(spell_originals(PUBLISHED[family], parts["unet"]) | spell(parts))


@cache
def own_modules() -> frozenset[str]:
    """Every way to write a module of a published base by our own names, in whatever family."""
    return frozenset(written for family in PUBLISHED for written in spell(published_modules(family)))


def published_modules(family: FamilyKey) -> dict[Part, Collection[str]]:
    """The modules of a family's published base that have a matrix or kernel."""
    parts: dict[Part, Collection[str]] = {"unet": matrices(unet_table(PUBLISHED[family]))}
    for part, encoder in zip(TEXT_PARTS, FAMILIES[family].text_encoders, strict=False):
        names = matrices(clip_table(encoder.used))
        parts[part] = [f"text_model.{name}" for name in names] + ["text_projection"] if encoder.projection else names
    return parts


def matrices(table: Table) -> list[str]:
    """Our names of the modules in a table that are neither norms nor without a weight."""
    ours = [name.removesuffix(".weight") for entry in table.entries for name in entry.ours if name.endswith(".weight")]
    return [name for name in ours if "norm" not in name.rpartition(".")[2]]


def spell(modules: Mapping[Part, Collection[str]]) -> dict[str, Place]:
    """Every way to write modules by their own names."""
    known: dict[str, Place] = {}
    for part, names in modules.items():
        for module in names:
            forms = unet_forms(module) if part == "unet" else text_forms(module)
            dotted = [prefix + form for prefix in DOTTED[part] for form in forms]
            underscored = [prefix + form.replace(".", "_") for prefix in UNDERSCORED[part] for form in forms]
            for written in (*dotted, *underscored):
                place = known.setdefault(written, (part, module))
                assert place == (part, module), f"{written} is {place} and {(part, module)}"
    return known


def spell_originals(unet_shape: UNetShape, modules: Collection[str]) -> dict[str, Place]:
    """Every way to write a U-Net's modules by their original names."""
    wanted, known = set(modules), dict[str, Place]()
    for entry in unet_table(unet_shape).entries:
        theirs, ours = entry.theirs.removesuffix(".weight"), entry.ours[0].removesuffix(".weight")
        if ours in wanted:
            known |= {prefix + theirs: ("unet", ours) for prefix in ORIGINAL}
            known |= {prefix + theirs.replace(".", "_"): ("unet", ours) for prefix in UNDERSCORED["unet"]}
    return known


def modules_of(tensors: Shapes) -> list[str]:
    """The modules whose weight is a matrix or a kernel."""
    return [name.removesuffix(".weight") for name, shape in tensors.items() if name.endswith(".weight") and len(shape) > 1]


def unet_forms(module: str) -> list[str]:
    """A module of a U-Net, and, in attention, its name from when diffusers kept LoRA in processors."""
    return [module, *replace_tail(module, PROCESSORS)]


def text_forms(module: str) -> list[str]:
    """A module of a text encoder with and without `text_model.`, and the names diffusers had for its projections."""
    bare = module.removeprefix("text_model.")
    both = [bare, f"text_model.{bare}"]
    return both + [other for form in both for other in replace_tail(form, TEXT_PROCESSORS)]


def replace_tail(module: str, tails: Mapping[str, str]) -> list[str]:
    """`module` with another tail, if it has one of those."""
    return [module.removesuffix(tail) + other for tail, other in tails.items() if module.endswith(tail)]
