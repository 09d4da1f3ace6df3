"""The teacher of `train_few_step.py`: trajectories of the guided tiny base from noise to latents, in groups.

Ten steps of DPM-Solver++(2M) under guidance, half of the rows with a map of one of the package's ControlNets on their
conditional side alone. A group takes 10 s of one core.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from torch import Tensor

from zeroconv import ControlNet, StableDiffusion
from zeroconv.control import ActiveControl
from zeroconv.data.world_pairs import truth
from zeroconv.diffusion.randomness import generator
from zeroconv.images import to_tensor
from zeroconv.runtime.choice import run_unet
from zeroconv.world import HELD_OUT_SEED, make

CONDITIONS = ("canny", "depth", "scribble", "segmentation", "soft-edge", "normal", "lineart", "pose")
ROWS, HALF = 32, 16  # trajectories in a group: the first half without a control, the second with one
POINTS, GUIDANCE, EMPTY = 10, 4.0, 0.05


@dataclass(frozen=True)
class Group:
    """Trajectories of the teacher.

    Attributes:
        z: points, (POINTS, ROWS, C, h, w), float16.
        t: their steps, (POINTS,).
        z_0: where each ends, (ROWS, C, h, w), float16.
        text: text states, (ROWS, N, D), float16.
        features: of the maps of the second half, (HALF, C, h, w), float16.
        condition: of those maps.
    """

    z: Tensor
    t: Tensor
    z_0: Tensor
    text: Tensor
    features: Tensor
    condition: str


class Teacher:
    """The base under guidance with its controls: makes groups, and keeps them in a folder."""

    def __init__(self, folder: Path, seed: int, first: int) -> None:
        self.folder, self.seed, self.first = folder, seed, first
        self.base = StableDiffusion.from_pretrained("tiny")
        opened = {name: ControlNet.from_pretrained(f"tiny-{name}", unet=self.base.unet) for name in CONDITIONS}
        self.networks = {name: network.eval().requires_grad_(False) for name, network in opened.items()}
        self.runner = run_unet(self.base.unet, "plan")
        folder.mkdir(parents=True, exist_ok=True)

    def group(self, index: int) -> Group:
        """Group `index`, read or made; those below zero are of held-out scenes."""
        path = self.folder / f"{index}.pt"
        if not path.exists():
            torch.save(vars(self.make(index)), path.with_suffix(".part"))
            os.replace(path.with_suffix(".part"), path)
        return Group(**torch.load(path, weights_only=True))

    @torch.no_grad()
    def make(self, index: int) -> Group:
        """Render scenes and follow their captions and maps from noise to latents."""
        g, condition = generator(self.seed, "group", index), CONDITIONS[index % len(CONDITIONS)]
        first = self.first + index * ROWS if index >= 0 else HELD_OUT_SEED + 1000 - index * ROWS
        pictures = [make(first + i, "person" if condition == "pose" and i >= HALF else None) for i in range(ROWS)]
        empty = torch.rand(ROWS, generator=g) < EMPTY
        captions = ["" if e else picture.caption for e, picture in zip(empty.tolist(), pictures, strict=True)]
        text = self.base.encode_text(["", *captions], weighted=False).hidden_states
        both = torch.cat([text[:1].expand(ROWS, -1, -1), text[1:]])
        network = self.networks[condition]
        features = network.encode_condition(torch.stack([to_tensor(truth(one, condition)) for one in pictures[HALF:]]))
        control = ActiveControl(network, features, rows=slice(ROWS + HALF, 2 * ROWS))
        spacing = 1000 / POINTS
        later = 999 - spacing * (torch.arange(1, POINTS) + torch.rand((), generator=g) - 0.5)
        t = torch.cat([torch.tensor([999]), later.round().long()])
        solver = DPMSolverMultistepScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
        solver.set_timesteps(timesteps=t.tolist())
        z, points = torch.randn(ROWS, *self.base.latent_shape(128, 128), generator=g), list[Tensor]()
        for step in solver.timesteps:
            points.append(z.half())
            empty_side, side = self.runner(torch.cat([z, z]), step, both, [control]).chunk(2)
            z = solver.step(empty_side + GUIDANCE * (side - empty_side), step, z).prev_sample
        return Group(torch.stack(points), t, z.half(), text[1:].half(), features.half(), condition)
