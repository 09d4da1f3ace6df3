"""What a training is asked for over the service: data that the server lists, never a path, and a few settings."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from zeroconv import conditions
from zeroconv.errors import InputError

__all__ = ["LARGEST_WORLD", "RUN_NAME", "RunRequest", "check_run", "train_command"]

RUN_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,47}")
"""A run's name, which is that of its folder."""
LARGEST_WORLD = 100_000  # pictures of the tiny world; the latents of a hundred thousand take about a gigabyte
WORLD = re.compile(r"world:([1-9][0-9]{0,8})")
FEWEST = 16  # pictures, of which some are held out


class RunRequest(BaseModel):
    """A training.

    Attributes:
        data: "world:COUNT", or the name of a folder that the server lists.
        condition: that is learnt.
        base: one that the server lists; None is its first.
        steps: optimizer steps in all.
        batch_size: pairs in a step.
        learning_rate: None leaves it to the base.
        probe_every: steps between probes of fidelity, each with a sheet of samples.
        seed: of every draw.
        name: of the run; None makes one of the condition and a number.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: Annotated[str, Field(min_length=1, max_length=100)] = "world:2000"
    condition: Annotated[str, Field(min_length=1, max_length=100)] = "canny"
    base: Annotated[str, Field(max_length=4096)] | None = None
    steps: Annotated[int, Field(ge=1, le=1_000_000)] = 1500
    batch_size: Annotated[int, Field(ge=1, le=256)] = 8
    learning_rate: Annotated[float, Field(gt=0, le=1)] | None = None
    probe_every: Annotated[int, Field(ge=1, le=1_000_000)] = 150
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    name: Annotated[str, Field(pattern=f"^{RUN_NAME.pattern}$")] | None = None


def check_run(request: RunRequest, bases: Iterable[str], folders: Mapping[str, Path]) -> RunRequest:
    """The same request with base and condition spelt out, once all that it names is there.

    Args:
        request: any.
        bases: that are listed.
        folders: of pairs, by the names under which they are listed.

    Raises:
        InputError: naming the field.
    """
    listed = tuple(bases)
    base = listed[0] if request.base is None else request.base
    if base not in listed:
        raise InputError(f"base is {base!r:.60}; expected one of {', '.join(listed)}", field="base")
    known = conditions.find(request.condition)
    if known is None:
        said = f"there is no condition {request.condition!r:.60}"
        raise InputError(said, field="condition", hint=f"expected one of {', '.join(conditions.names())}")
    world = WORLD.fullmatch(request.data)
    if world is None and request.data not in folders:
        names = ", ".join(["world:COUNT", *folders])
        raise InputError(f"data is {request.data!r:.60}; expected one of {names}", field="data")
    if world is not None and not FEWEST <= int(world[1]) <= LARGEST_WORLD:
        said = f"data is {request.data}; expected {FEWEST} to {LARGEST_WORLD} pictures of the tiny world"
        raise InputError(said, field="data")
    return request.model_copy(update={"base": base, "condition": known.name})


def train_command(request: RunRequest, source: str, out: Path, device: str) -> list[str]:
    """The arguments of `zeroconv` that train so; the same ones resume.

    Args:
        request: with its base.
        source: what `--data` takes.
        out: the run folder.
        device: of torch.
    """
    settings = {
        "batch_size": request.batch_size, "probe_every": request.probe_every, "seed": request.seed, "device": device,
        **({} if request.learning_rate is None else {"learning_rate": request.learning_rate}),
    }  # fmt: skip
    named = {"--base": request.base, "--data": source, "--condition": request.condition, "--out": out, "--steps": request.steps}
    words = [f"{key}={value}" for key, value in named.items()]
    return ["train", *words, *(f"--set={key}={value}" for key, value in settings.items())]
