"""Draw what `tiny-few-steps` makes in 4, 2 and 1 steps beside 20 guided steps and beside the base without it.

    python -m experiments.tiny.few_step_sheet --out docs/images/tiny-few-steps.webp

Five prompts of `sample_sheet.py` without a control, and three held-out scenes with tiny-canny, -depth and -scribble, the
same seeds in every row. The base is guided (4) but in the row of `lcm`. One CPU core: half a minute.
"""

import argparse
from pathlib import Path
from typing import Any

from experiments.tiny.sample_sheet import PROMPTS
from PIL import Image

from zeroconv import ControlNet, ControlPipeline, StableDiffusion
from zeroconv.data.world_pairs import truth
from zeroconv.generation import Control
from zeroconv.sheets import contact_sheet
from zeroconv.world import HELD_OUT_SEED, make

FREE = (0, 5, 8, 12, 15)
CONTROLS = ("canny", "depth", "scribble")
GUIDED: dict[str, Any] = {"guidance_scale": 4.0, "weighting": "condition-only"}
LCM: dict[str, Any] = {"guidance_scale": 1.0, "sampler": "lcm"}
ROWS: dict[str, tuple[bool, dict[str, Any]]] = {
    "base: 20 steps": (False, {"num_inference_steps": 20, **GUIDED}),
    "LoRA: 4 steps": (True, {"num_inference_steps": 4, **LCM}),
    "LoRA: 2 steps": (True, {"num_inference_steps": 2, **LCM}),
    "LoRA: 1 step": (True, {"num_inference_steps": 1, **LCM}),
    "base: 4 steps": (False, {"num_inference_steps": 4, **GUIDED}),
    "base: 4 steps of lcm": (False, {"num_inference_steps": 4, **LCM}),
}


def main() -> None:
    """Generate and lay out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lora", default="tiny-few-steps")
    parser.add_argument("--out", type=Path, default=Path("outputs/tiny-few-steps.webp"))
    args = parser.parse_args()
    bases = [StableDiffusion.from_pretrained("tiny") for _ in range(2)]
    bases[1].add_lora(args.lora)
    networks = [ControlNet.from_pretrained(f"tiny-{name}", unet=bases[0].unet) for name in CONTROLS]
    scenes = [make(HELD_OUT_SEED + i) for i in range(len(CONTROLS))]
    maps = [truth(scene, name) for scene, name in zip(scenes, CONTROLS, strict=True)]
    rows: list[list[Image.Image | None]] = []
    for with_lora, settings in ROWS.values():
        pipeline = ControlPipeline(bases[with_lora])
        made = pipeline([PROMPTS[i] for i in FREE], seed=list(FREE), **settings).images
        for seed, (scene, network, image) in enumerate(zip(scenes, networks, maps, strict=True)):
            made += pipeline(scene.caption, [Control(network, image, checked=image)], seed=seed, **settings).images
        rows.append([*made])
    rows.append([*[None] * len(FREE), *maps])
    sheet = contact_sheet(rows, row_titles=[*ROWS, "the maps"], cell=96)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(args.out, quality=60, method=6)
    print(args.out)


if __name__ == "__main__":
    main()
