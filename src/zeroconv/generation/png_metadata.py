"""What a picture carries with it: the `parameters` text other tools read, and the request that makes it again.

A saved picture holds its request with the maps and masks that steered it, losslessly, so the one file is enough.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Self

import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor, nn

from zeroconv.data_uri import is_data_uri
from zeroconv.generation.base import describe_base, open_base
from zeroconv.generation.control import Control
from zeroconv.generation.earlier_metadata import upgrade
from zeroconv.generation.file_places import FilePlaces, recorded_places
from zeroconv.generation.from_request import generate
from zeroconv.generation.maps import open_network
from zeroconv.generation.parameters_text import parameters_text
from zeroconv.generation.pipeline import Output
from zeroconv.generation.request import BaseRequest, GenerationRequest
from zeroconv.images import open_map, read_settings, write_png
from zeroconv.messages import Message, tell
from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.version import __version__

__all__ = ["PictureMetadata", "SavedImages", "fingerprint", "read_metadata", "reproduce", "save_images", "write_pictures"]


class ControlRecord(BaseModel):
    """What one control was made with.

    Attributes:
        condition: that its ControlNet follows, if it says so.
        fingerprint: of the ControlNet's weights.
        map_sha256: of the map's pixels.
    """

    model_config = ConfigDict(frozen=True)

    condition: str | None
    fingerprint: str
    map_sha256: str


class PictureMetadata(BaseModel):
    """The JSON in a picture's "zeroconv" text chunk.

    Attributes:
        request: makes this one picture; its maps and masks are embedded.
        version: of this package.
        base_fingerprint: of the U-Net's weights.
        controls: for each control of the request what it was made with.
        places: files and folders that the request names by a relative path -> where they were.
    """

    model_config = ConfigDict(frozen=True)

    request: GenerationRequest
    version: str
    base_fingerprint: str
    controls: tuple[ControlRecord, ...]
    places: dict[str, str] = {}

    @classmethod
    def of(cls, request: GenerationRequest, controls: Sequence[Control], picture: int, base: StableDiffusion) -> Self:
        """That of picture `picture` of a call."""
        records: list[ControlRecord] = []
        for control in controls:
            image, condition = control.condition_map(picture), control.network.config.condition
            pixels = (image if image.mode == "RGBA" else image.convert("RGB")).tobytes()
            digest = hashlib.sha256(pixels).hexdigest()
            records.append(ControlRecord(condition=condition, fingerprint=fingerprint(control.network), map_sha256=digest))
        mark, places = fingerprint(base.unet), recorded_places(request)
        return cls(request=request, version=__version__, base_fingerprint=mark, controls=tuple(records), places=places)

    @classmethod
    def from_json(cls, settings: Mapping[str, Any]) -> Self:
        """From the JSON of a picture, also in the layout of earlier versions.

        Raises:
            KeyError: when something is missing.
            ValueError: when something is damaged.
        """
        current = dict(settings if "request" in settings else upgrade(settings))
        if isinstance(current["request"], dict):  # before weights in prompts were read, every letter was meant
            current["request"] = {"plain_prompt": True, **current["request"]}
        return cls.model_validate(current)


@dataclass(frozen=True)
class SavedImages:
    """Files of one call.

    Attributes:
        pictures: one PNG for each picture.
        maps: the condition maps, for looking at; the pictures hold their own copies.
    """

    pictures: list[Path]
    maps: list[Path]


def save_images(output: Output, controls: Sequence[Control], folder: str | Path, base: StableDiffusion) -> SavedImages:
    """Write the pictures as `seed-7.png`, and beside them the maps as `map-canny-1a2b3c4d.png`.

    A picture that was made by another request is never replaced: the new one is called `seed-7-2.png`.

    Args:
        output: what a `ControlPipeline` returned.
        controls: the controls it was called with.
        folder: where to; made if it is not there.
        base: the base of the pipeline.

    Raises:
        OSError: when a file cannot be written, naming it.
    """
    folder, pictures, maps = Path(folder), list[Path](), dict[Path, None]()
    for index, (image, request) in enumerate(zip(output.images, output.requests, strict=True)):
        metadata = PictureMetadata.of(request, controls, index, base)
        for control, record in zip(controls, metadata.controls, strict=True):
            path = folder / f"map-{record.condition or 'condition'}-{record.map_sha256[:8]}.png"
            if path not in maps:
                maps[write_png(control.condition_map(index), path)] = None
        pictures.append(write_picture(image, choose_path(folder, f"seed-{request.seed}", metadata), metadata))
    return SavedImages(pictures, list(maps))


def write_pictures(output: Output, controls: Sequence[Control], files: Sequence[Path], base: StableDiffusion) -> int:
    """Write pictures under names of their own; those that are there stay as they are.

    Args:
        output: what a `ControlPipeline` returned.
        controls: the controls it was called with.
        files: one for each picture; missing folders are made.
        base: the base of the pipeline.

    Returns:
        How many were written.

    Raises:
        OSError: when a file cannot be written, naming it.
    """
    missing = [index for index, file in enumerate(files) if not file.is_file()]
    for index in missing:
        metadata = PictureMetadata.of(output.requests[index], controls, index, base)
        write_picture(output.images[index], files[index], metadata)
    return len(missing)


def write_picture(image: Image.Image, path: Path, metadata: PictureMetadata) -> Path:
    """Write a picture with what makes it again."""
    text = parameters_text(metadata.request, [record.condition for record in metadata.controls])
    return write_png(image, path, text, metadata.model_dump(mode="json"))


def choose_path(folder: Path, stem: str, metadata: PictureMetadata) -> Path:
    """The first of `stem.png`, `stem-2.png`, … that is free or holds a picture of the same request, in any version's words."""
    content = dump_content(metadata)
    for number in count(1):
        path = folder / (f"{stem}.png" if number == 1 else f"{stem}-{number}.png")
        if not path.exists():
            return path
        try:
            if dump_content(read_metadata(path)) == content:
                return path
        except ValueError:  # somebody else's picture
            continue
    raise AssertionError("unreachable: the numbers do not end")


def dump_content(metadata: PictureMetadata) -> dict[str, Any]:
    """The metadata with pixels in place of files, which another version of Pillow compresses otherwise.

    Raises:
        ValueError: when a picture is damaged.
    """
    content = metadata.model_dump(exclude={"places"})
    for name in {"init_image", "mask_image"} & content["request"].keys():
        picture = content["request"][name]
        content["request"][name] = picture and open_map(picture).tobytes()
    for control in content["request"]["controls"]:
        control["condition"] = None  # its pixels are `map_sha256`
        control["mask"] = control["mask"] and open_map(control["mask"]).convert("L").tobytes()
    return content


def read_metadata(path: str | Path) -> PictureMetadata:
    """What a saved picture carries.

    Raises:
        FileNotFoundError: when the picture is not there.
        ValueError: when it holds no settings, or damaged ones.
    """
    settings = read_settings(path)
    try:
        metadata = PictureMetadata.from_json(settings)
    except KeyError as error:
        raise ValueError(f"the settings in {path} are incomplete: {error} is missing") from error
    except (ValidationError, ValueError, TypeError, AttributeError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
        place = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"the settings in {path} are incomplete or damaged: {place} {first['msg']}") from error
    pictures = [metadata.request.init_image, metadata.request.mask_image]
    pictures += [picture for control in metadata.request.controls for picture in (control.condition, control.mask)]
    pictures += [one for control in metadata.request.controls for one in (control.image, *control.maps.values())]
    if not all(picture is None or is_data_uri(picture) for picture in pictures):
        raise ValueError(f"the settings in {path} are damaged: they name a picture that is not in them")
    return metadata


def reproduce(path: str | Path, base: StableDiffusion | None = None) -> tuple[Output, list[Control], StableDiffusion]:
    """Make a saved picture again: the same pixels, with the same weights on the same kind of machine.

    Args:
        path: a PNG that `save_images` wrote.
        base: the base, if it is open already; otherwise it is opened by the name in the picture.

    Returns:
        The output of one picture, its controls and its base.

    Raises:
        FileNotFoundError: when the picture is not there.
        ValueError: when the picture holds no settings, or damaged ones, or the base or a ControlNet cannot be opened.
    """
    metadata = read_metadata(path)
    places, request = FilePlaces(Path(path), metadata.places), metadata.request
    controls_now = places.of_controls(request.controls)
    base = base or open_recorded_base(places.of_base(request.base))
    warn_if_changed(f"the base {base.name!r}", base.unet, metadata.base_fingerprint)
    output, controls = generate(request.model_copy(update={"base": describe_base(base), "controls": controls_now}), base)
    for control, asked, record in zip(controls, controls_now, metadata.controls, strict=True):
        if fingerprint(control.network) != record.fingerprint:  # it is in the base's type now; from Python it may not have been
            warn_if_changed(
                f"the ControlNet {control.network.name!r}", open_network(asked.network, base, {}), record.fingerprint
            )
    return output, controls, base


def open_recorded_base(request: BaseRequest) -> StableDiffusion:
    """The base of a saved picture: its LoRAs, its number type and, where this machine has it, its device."""
    device = request.device or "cpu"
    here = device == "cpu" or (device == "cuda" and torch.cuda.is_available())
    base = open_base(request.model_copy(update={"device": device if here else "cpu", "dtype": request.dtype or "float32"}))
    if not here:
        message = f"the picture was made on {device}, here it is made on {base.device}: equal up to rounding"
        tell(Message(message, "again.device"))
    return base


def warn_if_changed(what: str, network: nn.Module, before: str) -> None:
    """Say so when weights are not those the picture was made with."""
    if fingerprint(network) != before:
        tell(Message(f"{what} has other weights now: the picture will not be the same", "again.changed"))


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
