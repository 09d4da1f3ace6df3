"""Which files of a repository on the hub are fetched: safetensors, settings and vocabularies, each network once."""

import re
from collections.abc import Collection, Iterable

__all__ = ["choose", "whole_or_shards"]

NETWORKS = ("unet", "vae", "text_encoder")
SECOND = "text_encoder_2"  # SDXL's
PARTS = (*NETWORKS, SECOND, "tokenizer", "tokenizer_2", "scheduler")
STEMS = ("diffusion_pytorch_model", "model", "control-lora")
VARIANTS = ("", ".fp16", ".bf16")  # the first that is there is taken
PICKLES = (".ckpt", ".pth", ".pt", ".bin")
SHOWN = 4


def choose(names: Iterable[str], kind: str, repository: str) -> list[str]:
    """The files to fetch, out of the names of all files of a repository.

    The folder layout of diffusers comes before a single file; of several precisions the full one is taken. Parts
    that a base does not need (a safety checker, say) and files of any other type (pickles, code) are left alone.

    Args:
        names: paths inside the repository.
        kind: "base" or "ControlNet".
        repository: its name, for errors.

    Returns:
        Paths. The first is `model_index.json` or `config.json` when they make a folder, else the one weight file.

    Raises:
        ValueError: when there are no safetensors weights, or it cannot be said which of several are meant.
    """
    names = set(names)
    top = {name for name in names if "/" not in name}
    if kind == "base" and "model_index.json" in top:
        return ["model_index.json", *(file for part in PARTS for file in part_files(names, part, repository))]
    if kind == "ControlNet" and "config.json" in top and (found := whole_or_shards(top)):
        return ["config.json", *found]
    single = sorted(name for name in top if name.endswith(".safetensors"))
    if len(single) == 1:
        return single
    if single:
        raise ValueError(
            f"{repository} has {len(single)} weight files and is no folder in the diffusers layout: {shorten(single)}. "
            "Download the one you want and give its path"
        )
    raise ValueError(no_weights(names, kind, repository))


def part_files(names: Collection[str], part: str, repository: str) -> list[str]:
    """The settings, vocabularies and weights of one part of a base."""
    inside = {name.removeprefix(f"{part}/") for name in names if name.startswith(f"{part}/") and name.count("/") == 1}
    settings = sorted(name for name in inside if name.endswith((".json", ".txt")) and ".index." not in name)
    weights = whole_or_shards(inside)
    if not weights and (part in NETWORKS or (part == SECOND and inside)):
        raise ValueError(f"{repository} has no complete safetensors weights in {part}/; expected one file or all its shards")
    return [f"{part}/{name}" for name in (*settings, *weights)]


def whole_or_shards(names: Collection[str]) -> list[str]:
    """The weights among the file names of one folder: one file, or all shards after their index; [] if there are none."""
    for variant in VARIANTS:
        for stem in STEMS:
            if (whole := f"{stem}{variant}.safetensors") in names:
                return [whole]
            index, shards = f"{stem}.safetensors.index{variant}.json", find_shards(names, stem, variant)
            if shards and index in names:
                return [index, *shards]
    return []


def find_shards(names: Collection[str], stem: str, variant: str) -> list[str]:
    """`stem.variant-00001-of-00003.safetensors` and its like, in order; [] unless all are there."""
    mark = re.escape(variant)
    pattern = re.compile(rf"{re.escape(stem)}(?:{mark})?-(\d{{5}})-of-(\d{{5}})(?:{mark})?\.safetensors")
    found = {name: match for name in sorted(names) if variant in name and (match := pattern.fullmatch(name))}
    numbers = [int(match[1]) for match in found.values()]
    counts = {int(match[2]) for match in found.values()}
    complete = len(counts) == 1 and numbers == list(range(1, max(counts) + 1))
    return list(found) if complete else []


def no_weights(names: Collection[str], kind: str, repository: str) -> str:
    """The line for a repository with nothing to open."""
    deeper = sorted(name for name in names if name.endswith(".safetensors"))
    pickles = sorted(name for name in names if name.endswith(PICKLES))
    if deeper:
        return (
            f"{repository} is no {kind} in the diffusers layout; its weights lie in folders: {shorten(deeper)}. "
            "Download the one you want and give its path"
        )
    if pickles:
        return (
            f"{repository} has no safetensors weights, and nothing else is opened from the hub; it has {shorten(pickles)}: "
            "download one and turn it into safetensors with `zeroconv convert`"
        )
    return f"{repository} has no safetensors weights; expected a {kind} in the diffusers layout, or one .safetensors file"


def shorten(names: list[str]) -> str:
    """A few names of many."""
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
