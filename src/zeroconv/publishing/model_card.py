"""The README of a saved ControlNet, as the hub shows it: what it is, what its map must look like, how to use it."""

import html
import json
import shlex
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from huggingface_hub import ModelCard, ModelCardData

from zeroconv.checkpoints.formats.controlnet_config import CLASS_NAME, ControlNetConfig
from zeroconv.checkpoints.formats.controlnet_union import UNION_CLASS, UNION_CONDITIONS, control_type
from zeroconv.checkpoints.hub.download import is_hub_id
from zeroconv.conditions import Condition, get

__all__ = ["model_card"]

PAPER = (
    "*Adding Conditional Control to Text-to-Image Diffusion Models*, Lvmin Zhang, Anyi Rao, Maneesh Agrawala, 2023, "
    "[arXiv 2302.05543](https://arxiv.org/abs/2302.05543)"
)
VARIANTS = {
    "full": "a trainable copy of the base's whole encoder and middle block, joined to it by zero convolutions",
    "lite": "one convolution in place of each block's copy (figure 8 c of the paper): small, and weaker on hard maps",
    "lora": "the base's own encoder with low-rank updates; the file is a Control-LoRA, small, and opened with its base",
}
CONDITION_ENCODERS = {"paper": "its condition encoder has the form of the paper's text, not that of released weights"}
TEMPLATE = """\
---
{{ card_data }}
---

# {{ title }}

A ControlNet: a network that makes a text-to-image diffusion model follow a picture, here **{{ what }}**, while the model \
itself stays as it is. {{ origin }}; a base with the same encoder, fine-tuned or merged, usually works too.
{%- if samples %}

![Samples]({{ samples }})
{%- endif %}
{%- if metrics %}

## Measured

| measure | value |
|---|---|
{%- for name, value in metrics %}
| {{ name }} | {{ value }} |
{%- endfor %}
{%- endif %}

## The map

{{ map_lines }}

## Use

```sh
{{ commands }}
```

```python
{{ zeroconv_python }}
```
{%- if diffusers_python %}

The same in diffusers:

```python
{{ diffusers_python }}
```
{%- endif %}

## Details

{{ details }}
"""
"""Of the hub's own kind (Jinja); every text is made harmless before it is put in."""
LONGEST = 200  # letters of a name
HERE, SOME_BASE = "this-folder", "your-base"  # in examples, for what is not known


def model_card(
    config: ControlNetConfig,
    title: str | None = None,
    metrics: Mapping[str, str | float] | None = None,
    samples: str | None = None,
    licence: str | None = None,
    name: str | None = None,
) -> str:
    """The text of `README.md` beside a ControlNet's `config.json`.

    Whatever text the configuration holds, the front matter is valid YAML and the examples are valid code.

    Args:
        config: the network's.
        title: the heading; made from the condition if left out.
        metrics: what was measured, by name, such as {"edge F1": "0.55 [0.54, 0.56]", "edge F1 without control": 0.31}.
        samples: a picture of samples, as a path relative to the folder.
        licence: an identifier of the hub's, such as "apache-2.0"; said to be not stated if left out.
        name: what the network is opened as in the examples, such as "owner/name".

    Returns:
        Markdown in UTF-8, with the hub's front matter.
    """
    base, condition = base_name(config.base), plain(followed(config))
    contract = known(condition)
    subject = contract.name if contract else code(condition) if condition else "an unnamed condition"
    name, at = plain(name) or HERE, base or SOME_BASE
    ours = f"{name}#{condition}" if config.union is not None else name
    theirs = opens_in_diffusers(config)
    card = ModelCard.from_template(
        card_data(config, base, contract.name if contract else condition, licence),
        template_str=TEMPLATE,
        title=html.escape(plain(title), quote=False) or f"ControlNet for {subject}",
        what=f"{subject}: {contract.summary}" if contract else subject,
        origin=f"It was made for the base {code(base)}" if base else "Its maker did not say for which base it was made",
        samples=quote(plain(samples)),
        metrics=[(cell(measure), cell(value)) for measure, value in (metrics or {}).items()],
        map_lines="\n".join(map_lines(config, contract)),
        commands="\n".join(commands(config, ours, at, contract)),
        zeroconv_python="\n".join(zeroconv_lines(ours, at, config.variant == "lora")),
        diffusers_python="\n".join(diffusers_lines(config, name, at)) if theirs else "",
        details="\n".join(details(config, licence)),
    )
    return card.content + "\n"


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


def known(condition: str) -> Condition | None:
    """The library's knowledge of a condition, if it has some."""
    try:
        return get(condition)
    except ValueError:
        return None


def followed(config: ControlNetConfig) -> str | None:
    """The condition that it follows; of a ControlNet-Union that was told none, its first."""
    return config.condition or (UNION_CONDITIONS[0][0] if config.union is not None else None)


def opens_in_diffusers(config: ControlNetConfig) -> bool:
    """Whether diffusers has a class for it."""
    return config.class_name in (CLASS_NAME, UNION_CLASS)


def is_sdxl(config: ControlNetConfig) -> bool:
    """Whether its base is conditioned on pooled text and sizes, too."""
    return config.unet_settings.get("addition_embed_type") == "text_time"


def card_data(config: ControlNetConfig, base: str, condition: str, licence: str | None) -> ModelCardData:
    """What the hub reads, as the front matter."""
    tags = ["controlnet", "stable-diffusion-xl" if is_sdxl(config) else "stable-diffusion", "text-to-image", "zeroconv"]
    return ModelCardData(
        license=plain(licence) or "other",
        base_model=base.partition("@")[0] if is_hub_id(base) else None,  # the hub refuses anything else
        library_name="diffusers" if opens_in_diffusers(config) else "zeroconv",
        pipeline_tag="image-to-image",
        tags=tags + ([condition] if condition else []),
    )


def word(text: str) -> str:
    """A string of Python."""
    return json.dumps(text, ensure_ascii=False)


def code(text: str) -> str:
    """Text of a stranger in a line of Markdown, as it is."""
    return f"`{plain(text)}`"


def cell(value: str | float) -> str:
    """One cell of a table."""
    text = value if isinstance(value, str) else f"{value:.4g}"
    return html.escape(plain(text), quote=False).replace("|", "\\|")


def map_lines(config: ControlNetConfig, contract: Condition | None) -> list[str]:
    """The contract of the map."""
    lines = ["Its condition is not one that zeroconv knows: ask its maker what the map must look like."]
    if contract:
        lines = [f"**{contract.contract}** Values from 0 to 255 are given to the network as 0 to 1."]
    if config.conditioning_channels != 3:
        lines += [f"The network reads {config.conditioning_channels} channels."]
    if config.channel_order != "rgb":
        lines += [f"The network reads the channels in the order {code(config.channel_order)}; both libraries see to that."]
    if config.global_pool_conditions:
        lines += ["Its residuals are averaged over the picture: it steers content and colours, not places."]
    return lines


def commands(config: ControlNetConfig, name: str, base: str, contract: Condition | None) -> list[str]:
    """One picture from a map, and the map of a picture, as commands of zeroconv."""
    generate = f"zeroconv generate --base {shlex.quote(base)} --control {shlex.quote(name)} --condition map.png"
    lines = [f'{generate} --prompt "your prompt" --out pictures']
    if contract:
        extract = f"zeroconv extract {contract.name} photo.png{trained_with(config.extract)} --out maps"
        lines += [f"{extract}    # from a picture to its map"]
    return lines


def trained_with(extract: Mapping[str, Any]) -> str:
    """The extractor's parameters in training as words of a command; of weights on their maker's machine the last part."""
    words = {plain(str(key)): value for key, value in extract.items()}
    named = {key: base_name(value) if key in ("weights", "detector") else plain(str(value)) for key, value in words.items()}
    resolution = f" --resolution {shlex.quote(named.pop('resolution'))}" if "resolution" in named else ""
    return "".join(f" --set {shlex.quote(f'{key}={value}')}" for key, value in named.items()) + resolution


def zeroconv_lines(name: str, base: str, low_rank: bool) -> list[str]:
    """One picture, in Python."""
    rest = ", unet=base.unet" if low_rank else ""
    return [
        "from PIL import Image",
        "from zeroconv import Control, ControlNet, ControlPipeline, StableDiffusion",
        "",
        f"base = StableDiffusion.from_pretrained({word(base)})",
        f"network = ControlNet.from_pretrained({word(name)}{rest})",
        'control = Control(network, image=Image.open("map.png"))',
        'out = ControlPipeline(base)("your prompt", controls=[control], num_inference_steps=20, seed=7)',
        'out.images[0].save("picture.png")',
    ]


def diffusers_lines(config: ControlNetConfig, name: str, base: str) -> list[str]:
    """One picture, in Python with diffusers."""
    pipeline = "StableDiffusionXLControlNetPipeline" if is_sdxl(config) else "StableDiffusionControlNetPipeline"
    network, map_of = "ControlNetModel", 'image=Image.open("map.png")'
    note = "" if is_hub_id(base) else "    # the folder of the base"
    if config.union is not None:
        network, pipeline = UNION_CLASS, "StableDiffusionXLControlNetUnionPipeline"
        mode = control_type(config.union, followed(config))
        map_of = f'control_image=[Image.open("map.png")], control_mode=[{mode}]'
    return [
        f"from diffusers import {network}, {pipeline}",
        "from PIL import Image",
        "",
        f"control = {network}.from_pretrained({at_revision(name)})",
        f"pipe = {pipeline}.from_pretrained({at_revision(base)}, controlnet=control){note}",
        f'picture = pipe("your prompt", {map_of}, num_inference_steps=20).images[0]',
        'picture.save("picture.png")',
    ]


def at_revision(name: str) -> str:
    """A name on the hub as diffusers takes it: the revision in an argument of its own."""
    repository, _, revision = name.partition("@") if is_hub_id(name) else (name, "", "")
    return word(repository) + (f", revision={word(revision)}" if revision else "")


def details(config: ControlNetConfig, licence: str | None) -> list[str]:
    """Form, origin and licence."""
    encoder = CONDITION_ENCODERS.get(config.condition_encoder)
    lines = [f"- Variant {code(config.variant)}: {VARIANTS[config.variant]}."]
    lines += [f"- Not the usual form: {encoder}."] if encoder else []
    if config.unlocked_decoder:
        lines += [
            "- It was trained with the base's decoder unlocked (the authors' `sd_locked = False`) and brings that decoder, "
            "which zeroconv puts in the place of the base's."
        ]
    if config.union is not None:
        types = UNION_CONDITIONS[: config.union.num_control_type]
        known = "; ".join(f"{index} {' or '.join(names)}" for index, names in enumerate(types))
        lines += [f"- A ControlNet-Union, one network for many conditions, told which by its control type: {known}."]
    if config.connection == "gaussian":
        lines += ["- Its connections began as ordinary convolutions (figure 8 b of the paper), not as zero."]
    if not opens_in_diffusers(config):
        lines += ["- diffusers has no class for this form; zeroconv opens it."]
    lines += [] if plain(licence) else ["- Licence: not stated by its maker."]
    return [*lines, f"- Method: {PAPER}."]
