"""Pictures that follow the edges of a picture, and the same seeds without control.

    python examples/generate.py [--image photo.png] [--prompt "a red house …"] [--out outputs/generate]

Hardware: one CPU core. Time: about half a minute. Expected: four PNGs with the edges of the input, each carrying its
settings (`zeroconv generate --again PICTURE` makes it again), and a sheet to compare them with the uncontrolled ones.
"""

import argparse
from functools import partial
from pathlib import Path

from PIL import Image

from zeroconv import Control, ControlNet, ControlPipeline, StableDiffusion
from zeroconv.conditions import extract
from zeroconv.generation import save_images
from zeroconv.images import fit, open_image, write_png
from zeroconv.sheets import contact_sheet
from zeroconv.world import HELD_OUT_SEED, make


def main() -> None:
    """Extract, generate, save, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", type=Path, help="a held-out scene of the tiny world if left out")
    parser.add_argument("--prompt", default="a red house with a white roof on snow, a tree, an evening sky")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--num-images", type=int, default=4)
    parser.add_argument("--out", type=Path, default=Path("outputs/generate"))
    args = parser.parse_args()

    base = StableDiffusion.from_pretrained("tiny")
    canny = ControlNet.from_pretrained("tiny-canny")
    image = open_image(args.image) if args.image else Image.fromarray(make(HELD_OUT_SEED, kind="house").rgb)
    edges = extract("canny", fit(image, base.size))

    pipe = partial(
        ControlPipeline(base), args.prompt,
        num_inference_steps=args.steps, guidance_scale=4.0, seed=7, num_images=args.num_images,
    )  # fmt: skip
    controls = [Control(canny, image=edges)]
    controlled, free = pipe(controls=controls), pipe()

    for path in save_images(controlled, controls, args.out, base).pictures:
        print(path)
    rows = [[fit(image, base.size), *controlled.images], [edges, *free.images]]
    print(write_png(contact_sheet(rows, row_titles=["with control", "without"], title=args.prompt), args.out / "sheet.png"))


if __name__ == "__main__":
    main()
