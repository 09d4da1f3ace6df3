"""The options that say how pictures are sampled, the same for every command that makes some."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Guidance", "Images", "Negative", "Out", "SamplerName", "Seed", "Settings", "Steps", "WeightingName"]

Settings = Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="How maps are extracted.")]
Negative = Annotated[str, typer.Option(help="What not to see.")]
Seed = Annotated[int, typer.Option(min=0, max=2**62, help="Of the first picture.")]
Images = Annotated[int, typer.Option("--num-images", "-n", min=1, help="With seed, seed + 1, ...")]
Steps = Annotated[int, typer.Option(help="Denoising steps.")]
Guidance = Annotated[float, typer.Option(help="Guidance scale; 1 is none.")]
WeightingName = Annotated[str, typer.Option(help="uniform, resolution, decay or condition-only.")]
SamplerName = Annotated[
    str, typer.Option(help="ddim, dpm++2m, dpm++2m-sde, dpm++sde, euler, euler-a, heun, unipc or lcm; Karras behind it.")
]
Out = Annotated[Path, typer.Option(help="Folder for pictures and maps.")]
