"""The README of a saved ControlNet, as the hub shows it: what it is, what its map must look like, how to use it."""

import html
from collections.abc import Mapping
from urllib.parse import quote

from huggingface_hub import ModelCard, ModelCardData

from zeroconv.checkpoints.formats.controlnet_config import CLASS_NAME, ControlNetConfig
from zeroconv.checkpoints.formats.controlnet_union import UNION_CLASS, UNION_CONDITIONS
from zeroconv.checkpoints.hub.download import is_hub_id
from zeroconv.conditions import Condition, get
from zeroconv.publishing.example_code import (
    base_name,
    commands,
    diffusers_lines,
    followed,
    is_sdxl,
    plain,
    zeroconv_lines,
)

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
        card_data(config, base, [part.name for part in contract.each] if contract else [condition] * bool(condition), licence),
        template_str=TEMPLATE,
        title=html.escape(plain(title), quote=False) or f"ControlNet for {subject}",
        what=f"{subject}: {contract.summary}" if contract else subject,
        origin=f"It was made for the base {code(base)}" if base else "Its maker did not say for which base it was made",
        samples=quote(plain(samples)),
        metrics=[(cell(measure), cell(value)) for measure, value in (metrics or {}).items()],
        map_lines="\n".join(map_lines(config, contract)),
        commands="\n".join(commands(config, ours, at, contract)),
        zeroconv_python="\n".join(zeroconv_lines(ours, at, config.variant == "lora", contract)),
        diffusers_python="\n".join(diffusers_lines(config, name, at, contract)) if theirs else "",
        details="\n".join(details(config, licence, bool(metrics))),
    )
    return card.content + "\n"


def known(condition: str) -> Condition | None:
    """The library's knowledge of a condition, if it has some."""
    try:
        return get(condition)
    except ValueError:
        return None


def opens_in_diffusers(config: ControlNetConfig) -> bool:
    """Whether diffusers has a class for it."""
    return config.class_name in (CLASS_NAME, UNION_CLASS)


def card_data(config: ControlNetConfig, base: str, conditions: list[str], licence: str | None) -> ModelCardData:
    """What the hub reads, as the front matter."""
    tags = ["controlnet", "stable-diffusion-xl" if is_sdxl(config) else "stable-diffusion", "text-to-image", "zeroconv"]
    return ModelCardData(
        license=plain(licence) or "other",
        base_model=base.partition("@")[0] if is_hub_id(base) else None,  # the hub refuses anything else
        library_name="diffusers" if opens_in_diffusers(config) else "zeroconv",
        pipeline_tag="image-to-image",
        tags=tags + conditions,
    )


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
    if contract and contract.parts:
        listed = "; ".join(f"**{part.name}**: {part.contract}" for part in contract.parts)
        lines = [f"It reads {len(contract.parts)} maps of one picture together, in this order: {listed}"]
        lines += ["Values from 0 to 255 are given to the network as 0 to 1. It reads black in place of a map that is left out."]
    if config.conditioning_channels != 3:
        lines += [f"The network reads {config.conditioning_channels} channels."]
    if config.channel_order != "rgb":
        lines += [f"The network reads the channels in the order {code(config.channel_order)}; both libraries see to that."]
    if config.global_pool_conditions:
        lines += ["Its residuals are averaged over the picture: it steers content and colours, not places."]
    return lines


def details(config: ControlNetConfig, licence: str | None, is_measured: bool) -> list[str]:
    """Form, origin and licence; of a Union also what measures do not tell, where there are some."""
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
        if is_measured:
            lines += ["- One of them was measured: a Union that was trained further for one may have forgotten the others."]
    if config.connection == "gaussian":
        lines += ["- Its connections began as ordinary convolutions (figure 8 b of the paper), not as zero."]
    if not opens_in_diffusers(config):
        lines += ["- diffusers has no class for this form; zeroconv opens it."]
    lines += [] if plain(licence) else ["- Licence: not stated by its maker."]
    return [*lines, f"- Method: {PAPER}."]
