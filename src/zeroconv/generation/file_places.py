"""Where the files of a request were, so that a picture can be made again from another folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from zeroconv.checkpoints.formats.controlnet_hints import split_condition
from zeroconv.errors import InputError
from zeroconv.generation.request import BaseRequest, ControlRequest, GenerationRequest

__all__ = ["FilePlaces", "recorded_places"]


def recorded_places(request: GenerationRequest) -> dict[str, str]:
    """Every file or folder that a request names by a relative path -> its absolute one."""
    base = request.base
    networks = [bare_name(control.network) for control in request.controls]
    added = [one.path for one in (*base.loras, *base.embeddings)]
    names = [base.name, base.vae, *added, *networks]
    relative = [name for name in names if name and not Path(name).is_absolute() and Path(name).exists()]
    return {name: str(Path(name).absolute()) for name in relative}


@dataclass(frozen=True)
class FilePlaces:
    """Where the files of a saved picture are now.

    Each is looked for where it was, by the name it was given from here, by that name from the picture's folder, and beside the
    picture.

    Attributes:
        picture: the saved picture.
        before: of `recorded_places`, when it was made.
    """

    picture: Path
    before: Mapping[str, str]

    def of_base(self, base: BaseRequest) -> BaseRequest:
        """The base with its files where they are now.

        Raises:
            InputError: when one is nowhere.
        """
        return base.model_copy(
            update={
                "name": self.find(base.name, "the base"),
                "vae": base.vae and self.find(base.vae, "the autoencoder"),
                "loras": tuple(one.model_copy(update={"path": self.find(one.path, "the LoRA")}) for one in base.loras),
                "embeddings": tuple(
                    one.model_copy(update={"path": self.find(one.path, "the embedding")}) for one in base.embeddings
                ),
            }
        )

    def of_controls(self, controls: Sequence[ControlRequest]) -> tuple[ControlRequest, ...]:
        """The controls with their networks where they are now, each with its "#condition".

        Raises:
            InputError: when one is nowhere.
        """
        networks = [(control.network, bare_name(control.network)) for control in controls]
        found = [self.find(bare, "the ControlNet") + name[len(bare) :] for name, bare in networks]
        return tuple(c.model_copy(update={"network": name}) for c, name in zip(controls, found, strict=True))

    def find(self, name: str, what: str) -> str:
        """Where a file or folder is now; what was none, such as an id of the hub, stays as it is."""
        if name not in self.before and not Path(name).is_absolute():
            return name
        was, folder = self.before.get(name, name), self.picture.parent
        beside = folder / Path(name).name
        for candidate in (was, name, str(folder / name), str(beside)):
            if Path(candidate).exists():
                return candidate
        said = f"{what} of {self.picture.name} was {was}, and is not there any more"
        raise InputError(said, field="again", hint=f"put it back, or a copy or link at {beside.absolute()}")


def bare_name(network: str) -> str:
    """The name of a ControlNet without "#condition"."""
    return str(split_condition(network)[0])
