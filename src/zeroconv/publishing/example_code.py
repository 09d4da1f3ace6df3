"""How a saved ControlNet is used, in the lines of its card: commands, Python, Python with diffusers."""

import json
import shlex
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from zeroconv.checkpoints.formats.controlnet_config import ControlNetConfig
from zeroconv.checkpoints.formats.controlnet_union import UNION_CLASS, UNION_CONDITIONS, control_type
from zeroconv.checkpoints.hub.download import is_hub_id
from zeroconv.conditions import Condition

__all__ = ["base_name", "commands", "diffusers_lines", "followed", "is_sdxl", "plain", "zeroconv_lines"]

LONGEST = 200  # letters of a name


def plain(text: object) -> str:
    """One line of printable letters without backticks, not too long; "" for what is no text."""
    if not isinstance(text, str):
        return ""
    words = " ".join(text.replace("`", "'").split())
    return "".join(letter for letter in words if letter.isprintable())[:LONGEST].strip()


def base_name(base: object) -> str:
    """The base as strangers may read it: of a folder on its maker's machine the last part alone."""
    text = plain(base)
    return text if is_hub_id(text) else PurePath(text).name


def followed(config: ControlNetConfig) -> str | None:
    """The condition that it follows; of a ControlNet-Union that was told none, its first."""
    return config.condition or (UNION_CONDITIONS[0][0] if config.union is not None else None)


def is_sdxl(config: ControlNetConfig) -> bool:
    """Whether its base is conditioned on pooled text and sizes, too."""
    return config.unet_settings.get("addition_embed_type") == "text_time"


def word(text: str) -> str:
    """A string of Python."""
    return json.dumps(text, ensure_ascii=False)


def commands(config: ControlNetConfig, name: str, base: str, contract: Condition | None) -> list[str]:
    """One picture from a map, and the map of a picture, as commands of zeroconv."""
    maps = " ".join(f"--condition {part}" for part in map_files(contract))
    generate = f"zeroconv generate --base {shlex.quote(base)} --control {shlex.quote(name)} {maps}"
    lines = [f'{generate} --prompt "your prompt" --out pictures']
    if contract:
        for part in contract.each:
            extract = f"zeroconv extract {part.name} photo.png{trained_with(contract.of_part(part, config.extract))} --out maps"
            lines += [f"{extract}    # from a picture to its map"]
    return lines


def map_files(contract: Condition | None) -> list[str]:
    """The files of the maps in examples, of several conditions each with its name."""
    return [f"{part.name}={part.name}.png" for part in contract.parts] if contract and contract.parts else ["map.png"]


def trained_with(extract: Mapping[str, Any]) -> str:
    """The extractor's parameters in training as words of a command; of weights on their maker's machine the last part."""
    words = {plain(str(key)): value for key, value in extract.items()}
    named = {key: base_name(value) if key in ("weights", "detector") else plain(str(value)) for key, value in words.items()}
    resolution = f" --resolution {shlex.quote(named.pop('resolution'))}" if "resolution" in named else ""
    return "".join(f" --set {shlex.quote(f'{key}={value}')}" for key, value in named.items()) + resolution


def zeroconv_lines(name: str, base: str, low_rank: bool, contract: Condition | None) -> list[str]:
    """One picture, in Python."""
    rest, image = ", unet=base.unet" if low_rank else "", 'Image.open("map.png")'
    if contract and contract.parts:
        image = "{" + ", ".join(f'{word(part.name)}: Image.open("{part.name}.png")' for part in contract.parts) + "}"
    return [
        "from PIL import Image",
        "from zeroconv import Control, ControlNet, ControlPipeline, StableDiffusion",
        "",
        f"base = StableDiffusion.from_pretrained({word(base)})",
        f"network = ControlNet.from_pretrained({word(name)}{rest})",
        f"control = Control(network, image={image})",
        'out = ControlPipeline(base)("your prompt", controls=[control], num_inference_steps=20, seed=7)',
        'out.images[0].save("picture.png")',
    ]


def diffusers_lines(config: ControlNetConfig, name: str, base: str, contract: Condition | None) -> list[str]:
    """One picture, in Python with diffusers."""
    pipeline = "StableDiffusionXLControlNetPipeline" if is_sdxl(config) else "StableDiffusionControlNetPipeline"
    network, map_of = "ControlNetModel", 'image=Image.open("map.png")'
    note = "" if is_hub_id(base) else "    # the folder of the base"
    if config.union is not None:
        network, pipeline = UNION_CLASS, "StableDiffusionXLControlNetUnionPipeline"
        mode = control_type(config.union, followed(config))
        map_of = f'control_image=[Image.open("map.png")], control_mode=[{mode}]'
    imports, maps = list[str](), list[str]()
    if contract and contract.parts:
        imports, map_of = ["import numpy as np", "import torch"], "image=condition"
        files = ", ".join(word(f"{part.name}.png") for part in contract.parts)
        maps = [
            f'maps = [np.asarray(Image.open(name).convert("RGB")) for name in ({files})]',
            "condition = torch.tensor(np.concatenate(maps, axis=2)).permute(2, 0, 1)[None] / 255",
        ]
    return [
        *imports,
        f"from diffusers import {network}, {pipeline}",
        "from PIL import Image",
        "",
        *maps,
        f"control = {network}.from_pretrained({at_revision(name)})",
        f"pipe = {pipeline}.from_pretrained({at_revision(base)}, controlnet=control){note}",
        f'picture = pipe("your prompt", {map_of}, num_inference_steps=20).images[0]',
        'picture.save("picture.png")',
    ]


def at_revision(name: str) -> str:
    """A name on the hub as diffusers takes it: the revision in an argument of its own."""
    repository, _, revision = name.partition("@") if is_hub_id(name) else (name, "", "")
    return word(repository) + (f", revision={word(revision)}" if revision else "")
