"""Where the files of a request were, so that a picture can be made again from another folder."""

from collections.abc import Mapping
from pathlib import Path

from zeroconv.checkpoints.formats.controlnet_hints import split_condition
from zeroconv.generation.request import GenerationRequest

__all__ = ["recorded_places", "relocate"]


def recorded_places(request: GenerationRequest) -> dict[str, str]:
    """Every file or folder that a request names by a relative path -> its absolute one."""
    base = request.base
    networks = [bare_name(control.network) for control in request.controls]
    added = [one.path for one in (*base.loras, *base.embeddings)]
    names = [base.name, base.vae, *added, *networks]
    relative = [name for name in names if name and not Path(name).is_absolute() and Path(name).exists()]
    return {name: str(Path(name).absolute()) for name in relative}


def relocate(request: GenerationRequest, places: Mapping[str, str], folder: Path) -> GenerationRequest:
    """The request with its files where they are now.

    Each is looked for where it was, then by the name it was given by from here, then by that name from a folder.

    Args:
        request: as it was made.
        places: of `recorded_places`, when it was made.
        folder: that of the picture.
    """

    def find(name: str) -> str:
        if name not in places:
            return name
        candidates = (places[name], name, str(folder / name), str(folder / Path(name).name))
        return next((candidate for candidate in candidates if Path(candidate).exists()), name)

    base = request.base
    moved = {
        "name": find(base.name),
        "vae": base.vae and find(base.vae),
        "loras": tuple(lora.model_copy(update={"path": find(lora.path)}) for lora in base.loras),
        "embeddings": tuple(one.model_copy(update={"path": find(one.path)}) for one in base.embeddings),
    }
    networks = [control.network for control in request.controls]
    found = [find(bare_name(name)) + name[len(bare_name(name)) :] for name in networks]
    controls = tuple(c.model_copy(update={"network": name}) for c, name in zip(request.controls, found, strict=True))
    return request.model_copy(update={"base": base.model_copy(update=moved), "controls": controls})


def bare_name(network: str) -> str:
    """The name of a ControlNet without "#condition"."""
    return str(split_condition(network)[0])
