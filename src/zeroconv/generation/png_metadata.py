"""What a picture carries with it: the `parameters` text other tools read, and all it takes to make it again.

A saved picture holds its settings and, losslessly, the maps and masks that steered it, so the one file is enough.
"""

import base64
import hashlib
import io
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from zeroconv.control import ControlNet
from zeroconv.generation.control import Control
from zeroconv.generation.pipeline import ControlPipeline, Output
from zeroconv.images import MAX_PIXELS, read_settings, write_png
from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.version import __version__

__all__ = ["SavedImages", "fingerprint", "parameters_text", "reproduce", "save_images"]

SAMPLER_TITLES = {
    "ddim": "DDIM", "dpm++2m": "DPM++ 2M", "euler": "Euler", "euler-a": "Euler a", "unipc": "UniPC", "lcm": "LCM",
}  # fmt: skip
WEIGHTING_TITLES = {"uniform": "Balanced", "decay": "ControlNet is more important"}
"""The words of Stable Diffusion web UI; the other weightings keep their own names."""


@dataclass(frozen=True)
class SavedImages:
    """Files of one call.

    Attributes:
        pictures: one PNG for each picture.
        maps: the condition maps, for looking at; the pictures hold their own copies.
    """

    pictures: list[Path]
    maps: list[Path]


def parameters_text(settings: Mapping[str, Any]) -> str:
    """The settings as the text that Stable Diffusion web UI writes under its pictures.

    ```
    a red house
    Negative prompt: blurry
    Steps: 20, Sampler: DPM++ 2M, CFG scale: 7.5, Seed: 7, Size: 128x128, Model: tiny, ControlNet 0: "…", Version: …
    ```

    Args:
        settings: one entry of `Output.settings`.
    """
    width, height = settings["size"]
    fields: dict[str, Any] = {
        "Steps": settings["num_inference_steps"],
        "Sampler": SAMPLER_TITLES.get(settings["sampler"], settings["sampler"]),
        "CFG scale": settings["guidance_scale"],
        "Seed": settings["seed"],
        "Size": f"{width}x{height}",
        "Model": quote(str(settings["base"])),
    }
    for index, control in enumerate(settings["controls"]):
        unit = {
            "Module": control.get("condition") or "none",
            "Model": control["control"],
            "Weight": control["scale"],
            "Guidance Start": control["start"],
            "Guidance End": control["end"],
            "Control Mode": WEIGHTING_TITLES.get(settings["weighting"], settings["weighting"]),
        }
        fields[f"ControlNet {index}"] = quote(", ".join(f"{name}: {value}" for name, value in unit.items()))
    fields["Version"] = f"zeroconv {__version__}"
    last = ", ".join(f"{name}: {value}" for name, value in fields.items())
    negative = [f"Negative prompt: {settings['negative_prompt']}"] if settings["negative_prompt"] else []
    return "\n".join([settings["prompt"], *negative, last])


def quote(text: str) -> str:
    """A value in quotes when it holds what separates values."""
    return json.dumps(text, ensure_ascii=False) if any(c in text for c in ',:"\n') else text


def save_images(output: Output, controls: Sequence[Control], folder: str | Path, base: StableDiffusion) -> SavedImages:
    """Write the pictures as `seed-7.png`, and beside them the maps as `map-canny-1a2b3c4d.png`.

    A picture that was made with other settings is never replaced: the new one is called `seed-7-2.png`.

    Args:
        output: what a `ControlPipeline` returned.
        controls: the controls it was called with.
        folder: where to; made if it is not there.
        base: the base of the pipeline.

    Raises:
        OSError: when a file cannot be written, naming it.
    """
    folder, pictures, maps = Path(folder), list[Path](), dict[Path, None]()
    for index, (image, settings) in enumerate(zip(output.images, output.settings, strict=True)):
        described = describe(settings, controls, index, base)
        for control, entry in zip(controls, described["controls"], strict=True):
            path = folder / f"map-{entry['condition'] or 'condition'}-{entry['map_sha256'][:8]}.png"
            if path not in maps:
                maps[write_png(control.map_of(index), path)] = None
        path = free_path(folder, f"seed-{settings['seed']}", described)
        pictures.append(write_png(image, path, parameters_text(described), described))
    return SavedImages(pictures, list(maps))


def describe(settings: Mapping[str, Any], controls: Sequence[Control], index: int, base: StableDiffusion) -> dict[str, Any]:
    """The settings of picture `index` with everything that made it: maps, masks, fingerprints of the weights."""
    entries: list[dict[str, Any]] = []
    for entry, control in zip(settings["controls"], controls, strict=True):
        image = control.map_of(index)
        entries.append(
            {
                **entry,
                "condition": control.network.config.condition,
                "fingerprint": fingerprint(control.network),
                "map": encode_png(image),
                "map_sha256": hashlib.sha256((image if image.mode == "RGBA" else image.convert("RGB")).tobytes()).hexdigest(),
                "mask": encode_png(control.mask.convert("L")) if control.mask else None,
            }
        )
    marks = {"version": __version__, "base_fingerprint": fingerprint(base.unet)}
    return {**settings, "controls": entries, **marks}


def free_path(folder: Path, stem: str, settings: Mapping[str, Any]) -> Path:
    """The first of `stem.png`, `stem-2.png`, … that is free or holds a picture of the same settings."""
    for number in count(1):
        path = folder / (f"{stem}.png" if number == 1 else f"{stem}-{number}.png")
        if not path.exists():
            return path
        try:
            if read_settings(path) == settings:
                return path
        except ValueError:  # somebody else's picture
            continue
    raise AssertionError("unreachable: the numbers do not end")


def reproduce(path: str | Path, base: StableDiffusion | None = None) -> tuple[Output, list[Control], StableDiffusion]:
    """Make a saved picture again: the same pixels, with the same weights on the same kind of machine.

    Args:
        path: a PNG that `save` wrote.
        base: the base, if it is open already; otherwise it is opened by the name in the picture.

    Returns:
        The output of one picture, its controls and its base.

    Raises:
        FileNotFoundError: when the picture, the base or a ControlNet is not there.
        ValueError: when the picture holds no settings, or damaged ones.
    """
    settings = read_settings(path)
    try:
        base = base or open_recorded_base(settings)
        warn_if_changed(f"the base {base.name!r}", base.unet, settings["base_fingerprint"])
        controls = [control_from_metadata(entry, base) for entry in settings["controls"]]
        width, height = (int(side) for side in settings["size"])
        output = ControlPipeline(base)(
            str(settings["prompt"]),
            controls,
            weighting=str(settings["weighting"]),
            num_inference_steps=int(settings["num_inference_steps"]),
            guidance_scale=float(settings["guidance_scale"]),
            seed=int(settings["seed"]),
            negative_prompt=str(settings["negative_prompt"]),
            sampler=str(settings["sampler"]),
            size=(width, height),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"the settings in {path} are incomplete: {type(error).__name__} {error}") from error
    return output, controls, base


def open_recorded_base(settings: Mapping[str, Any]) -> StableDiffusion:
    """The base of a saved picture: its LoRAs, its number type and, where this machine has it, its device.

    Raises:
        ValueError: for a number type that there is not.
    """
    kinds = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
    kind, device = settings.get("dtype", "float32"), settings.get("device", "cpu")
    if kind not in kinds:
        raise ValueError(f"the picture was made in {kind!r}; expected one of {', '.join(kinds)}")
    base = StableDiffusion.from_options(settings["base"], settings.get("base_options", {}), kinds[kind])
    if device == "cpu" or (device == "cuda" and torch.cuda.is_available()):
        return base.to(device)
    warnings.warn(f"the picture was made on {device}, here it is made on {base.device}: equal up to rounding", stacklevel=3)
    return base


def control_from_metadata(entry: Mapping[str, Any], base: StableDiffusion) -> Control:
    """A control for a base from its entry in the settings."""
    network = ControlNet.from_pretrained(entry["control"], unet=base.unet)
    warn_if_changed(f"the ControlNet {entry['control']!r}", network, entry["fingerprint"])
    mask = decode_png(entry["mask"]).convert("L") if entry["mask"] else None
    return Control(network, decode_png(entry["map"]), entry["scale"], entry["start"], entry["end"], mask, entry["layers"])


def warn_if_changed(what: str, network: nn.Module, before: str) -> None:
    """Say so when weights are not those the picture was made with."""
    if fingerprint(network) != before:
        warnings.warn(f"{what} has other weights now: the picture will not be the same", UserWarning, stacklevel=3)


def fingerprint(network: nn.Module) -> str:
    """A short mark of a network's weights: SHA-256 over names, shapes and the first 64 values of every tensor.

    Training changes every tensor, so a glance at each is enough, and costs milliseconds at any size.
    """
    digest = hashlib.sha256()
    tensors: dict[str, Tensor] = network.state_dict()
    for name, tensor in sorted(tensors.items()):
        start = tensor.detach().flatten()[:64].float().cpu()
        digest.update(f"{name}{tuple(tensor.shape)}".encode() + start.numpy().tobytes())
    return digest.hexdigest()[:16]


def encode_png(image: Image.Image) -> str:
    """A picture as base64 text of a PNG."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def decode_png(text: str) -> Image.Image:
    """The inverse of `encode_png`.

    Raises:
        ValueError: when the text is damaged.
    """
    try:
        image = Image.open(io.BytesIO(base64.b64decode(text, validate=True)), formats=("PNG",))
        if image.width * image.height > MAX_PIXELS:  # the header alone has been read
            raise ValueError(f"{image.width}x{image.height} pixels")
        return image if image.mode == "RGBA" else image.convert("RGB")  # an inpainting map's transparency means something
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"a map kept in the picture is damaged ({type(error).__name__})") from error
