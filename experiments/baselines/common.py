"""What every baseline is given and gives: pairs to train on, a budget of processor time, held-out cases, pictures of them.

A method is one file with one class that is a `Method`. The pairs are scenes of the tiny world, rendered once by
`experiments.tiny.prepare`; half of their captions are emptied in training, anew for every visit (section 3.3). The
budget is in seconds of one thread of the processor and the same for all, so a method that computes less in a step makes
more of them.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from multiprocessing import Pool
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import torch
from experiments.tiny.prepare import SHARD, make_shard
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from zeroconv import StableDiffusion, conditions
from zeroconv.checkpoints import resolve
from zeroconv.checkpoints.files.atomic import replacing
from zeroconv.conditions.segmentation import segmentation_map
from zeroconv.diffusion import generator
from zeroconv.world import HELD_OUT_SEED, make

__all__ = ["CONDITIONS", "SIZE", "Budget", "Case", "Drawn", "Method", "Pairs", "load_cases", "open_tiny_base", "to_maps"]

SIZE = 128
CONDITIONS = ("segmentation", "scribble")
PROMPT_DROPOUT = 0.5  # section 3.3
AT_ONCE = 25  # pictures encoded together

Pixels = NDArray[np.uint8]


def open_tiny_base() -> StableDiffusion:
    """The tiny base, in one thread: all seconds of a budget are those of one thread."""
    torch.set_num_threads(1)
    return StableDiffusion.from_pretrained("tiny")


def to_maps(pixels: Pixels) -> Tensor:
    """Pictures or maps (B, H, W, 3) of 8 bits as (B, 3, H, W) in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float() / 255


@dataclass
class Budget:
    """Seconds of this process's processor time that a training has, over all processes that it took.

    Attributes:
        seconds: in all.
        spent: of them.
        seed: of the training: of its network's first weights and of everything that is drawn.
    """

    seconds: float
    spent: float = 0.0
    seed: int = 0
    mark: float = field(default_factory=time.process_time, repr=False)

    def resume(self, spent: float) -> None:
        """Count from now on, `spent` seconds being gone: what came before now, such as reading data, costs nothing."""
        self.spent, self.mark = spent, time.process_time()

    def count(self) -> float:
        """The share of the budget that is spent by now, from 0 on; above 1 it is used up."""
        now = time.process_time()
        self.spent, self.mark = self.spent + now - self.mark, now
        return self.spent / self.seconds


@dataclass(frozen=True)
class Drawn:
    """The samples of a training step.

    Attributes:
        rows: of the pairs, (B,).
        captions: of each, half of them emptied.
        generator: for what else the step draws, such as noise; it belongs to the seed and the step.
    """

    rows: list[int]
    captions: list[str]
    generator: torch.Generator

    def noise(self, like: Tensor) -> Tensor:
        """Standard normal noise like a tensor."""
        return torch.randn(like.shape, generator=self.generator)


@dataclass
class Pairs:
    """Training pairs, in memory.

    Attributes:
        rgb: pictures, (N, 128, 128, 3) of 8 bits.
        captions: of each.
        classes: ADE20K classes, (N, 128, 128).
        latents: scaled latents of each, (N, C, 16, 16).
        folder: where maps and latents that take long are kept; None keeps none.
    """

    rgb: Pixels
    captions: list[str]
    classes: NDArray[Any]
    latents: Tensor
    folder: Path | None = None
    made: dict[str, Any] = field(default_factory=dict[str, Any], repr=False)

    def __len__(self) -> int:
        """How many there are."""
        return len(self.captions)

    @classmethod
    def load(cls, folder: Path, count: int, workers: int = 1) -> Self:
        """Scenes 0 … count - 1, rendered into shards of 500 and encoded where they are not there yet."""
        paths = [folder / "train" / f"{first:09d}.npz" for first in range(0, count, SHARD)]
        vae = resolve("tiny", "base") / "vae"
        missing = [path for path in paths if not path.with_suffix(".latents.npy").exists() or not path.exists()]
        if missing:
            with Pool(min(workers, len(missing))) as pool:
                pool.starmap(make_shard, [(path, vae, False) for path in missing])
        parts = [np.load(path) for path in paths]
        rgb, classes, captions = (
            np.concatenate([part[key] for part in parts])[:count] for key in ("rgb", "classes", "captions")
        )
        latents = np.concatenate([np.load(path.with_suffix(".latents.npy"))[0] for path in paths])[:count]
        return cls(rgb, [str(caption) for caption in captions], classes, torch.from_numpy(latents).float(), folder)

    @classmethod
    def render(cls, count: int, base: StableDiffusion, first: int = 0) -> Self:
        """A few scenes, for trials and tests."""
        pictures = [make(first + i) for i in range(count)]
        rgb, classes = np.stack([p.rgb for p in pictures]), np.stack([p.classes for p in pictures])
        return cls(rgb, [p.caption for p in pictures], classes, encode(base, rgb))

    def maps(self, condition: str) -> Pixels:
        """The maps of all pairs, (N, 128, 128, 3): exact segmentation, or scribbles extracted from the pictures."""
        if condition == "segmentation":
            return self.segmentation
        return self.kept(condition, lambda: np.stack([draw_map(condition, Image.fromarray(rgb)) for rgb in self.rgb]))

    @cached_property
    def segmentation(self) -> Pixels:
        """Segmentation maps in the colours of ADE20K."""
        return np.stack([np.asarray(segmentation_map(classes)) for classes in self.classes])

    def map_latents(self, condition: str, base: StableDiffusion) -> Tensor:
        """The maps through the autoencoder, scaled latents (N, C, 16, 16): made once, as those of the pictures are."""
        return torch.from_numpy(self.kept(f"{condition}-latents", lambda: encode(base, self.maps(condition)).numpy()))

    def kept(self, name: str, compute: Any) -> Any:
        """An array that is computed once, and kept in the folder if there is one."""
        path = None if self.folder is None else self.folder / f"{name}-{len(self)}.npy"
        if name not in self.made:
            if path is not None and path.exists():
                self.made[name] = np.load(path)
            else:
                self.made[name] = compute()
                if path is not None:
                    with replacing(path) as part, part.open("wb") as file:
                        np.save(file, self.made[name])
        return self.made[name]

    def draw(self, seed: int, step: int, batch: int, phase: str = "") -> Drawn:
        """The samples of a step: every pair once before any comes again; the same for the same seed, step and phase."""
        order = {epoch: self.order(seed, epoch, phase) for epoch in {(step * batch + i) // len(self) for i in range(batch)}}
        places = (divmod(step * batch + i, len(self)) for i in range(batch))
        rows = [order[epoch][place] for epoch, place in places]
        drawn = generator(seed, "baselines", phase, step)
        emptied = torch.rand(batch, generator=drawn) < PROMPT_DROPOUT
        return Drawn(rows, ["" if gone else self.captions[row] for row, gone in zip(rows, emptied, strict=True)], drawn)

    def order(self, seed: int, epoch: int, phase: str) -> list[int]:
        """The order of an epoch."""
        return torch.randperm(len(self), generator=generator(seed, "order", phase, epoch)).tolist()


@dataclass(frozen=True)
class Case:
    """A held-out scene.

    Attributes:
        name: of its files, "world-900000000".
        index: its number; its picture has the seed `seed + index`, as in `zeroconv evaluate`.
        prompt: its caption, or none.
        image: the true picture, 128 x 128.
        maps: by condition.
    """

    name: str
    index: int
    prompt: str
    image: Image.Image
    maps: dict[str, Image.Image]

    def without_prompt(self) -> "Case":
        """The same with the empty prompt."""
        return replace(self, prompt="")


class Method(Protocol):
    """A baseline.

    Attributes:
        name: as it stands in the table; the folder's name, too.
        title: what the reader of the table sees.
        condition: "segmentation" or "scribble", which maps it is given.
        sampling: what the manifest of its pictures says of how they were made.
    """

    name: str
    title: str
    condition: str
    sampling: Mapping[str, Any]

    def train(self, folder: Path, data: Pairs, budget: Budget) -> None:
        """Train in a folder of its own until the budget is spent; the same call again goes on after a kill.

        Each phase leaves `phase-NAME.json` (see `experiments.baselines.phases`), from which the table says what was spent.
        """
        ...

    def generate(self, folder: Path, cases: Sequence[Case], seed: int) -> list[Image.Image]:
        """A picture of each case, from the seed `seed + case.index` whatever the other cases are."""
        ...


def load_cases(count: int) -> list[Case]:
    """The first held-out scenes, with their maps."""
    cases: list[Case] = []
    for index in range(count):
        picture = make(HELD_OUT_SEED + index)
        image = Image.fromarray(picture.rgb)
        maps = {"segmentation": segmentation_map(picture.classes), "scribble": Image.fromarray(draw_map("scribble", image))}
        cases.append(Case(f"world-{HELD_OUT_SEED + index:09d}", index, picture.caption, image, maps))
    return cases


def draw_map(condition: str, image: Image.Image) -> Pixels:
    """A map extracted from a picture, (H, W, 3)."""
    return np.asarray(conditions.extract(condition, image).convert("RGB"))


def encode(base: StableDiffusion, pixels: Pixels) -> Tensor:
    """Scaled latents of pictures (N, H, W, 3)."""
    parts = (pixels[first : first + AT_ONCE] for first in range(0, len(pixels), AT_ONCE))
    return torch.cat([base.encode_images(2 * to_maps(part) - 1) for part in parts])
