"""Draw the samples of the embedded base that `docs/results/tiny.md` shows: sixteen prompts, one seed each.

    python experiments/tiny/sample_sheet.py --out docs/images/tiny-samples.webp

15 steps, guidance 4, seeds 0 to 15. One CPU core: about a minute.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from zeroconv import ControlPipeline, StableDiffusion

COLUMNS = 8
PROMPTS = (
    "a red house with a green roof on grass, two trees, a clear blue sky",
    "a white wooden house with a blue roof and a red door in the snow, two pine trees, mountains",
    "a yellow brick house with a brown roof at sunset, a path",
    "a two-storey blue house with an orange roof at night, a path",
    "a red car on grass under a clear blue sky, mountains",
    "a green pickup truck in the desert at sunset",
    "a pine tree on snow under a cloudy sky",
    "an orange autumn tree in an autumn field, an evening sky",
    "a man in a blue shirt and black trousers waving on grass, a tree, a clear blue sky",
    "a woman in a red shirt and white trousers with arms spread wide on sand under an evening sky",
    "a person in a yellow shirt and green trousers standing in a room, a wooden floor, a teal wall",
    "a man in a purple shirt walking indoors, a checkered floor, a window",
    "a purple teapot, a red apple and a blue cube on a wooden table, a yellow wall",
    "a green cone and an orange ball on a white table, a grey brick wall",
    "a blue vase with flowers on a round wooden table, a white wall, a window",
    "a living room with a red sofa, a bookshelf and a blue rug, a wooden floor, a white wall",
)


def main() -> None:
    """Generate and lay out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="tiny")
    parser.add_argument("--out", type=Path, default=Path("outputs/tiny-samples.webp"))
    args = parser.parse_args()
    pipe = ControlPipeline(StableDiffusion.from_pretrained(args.base))
    seeds = list(range(len(PROMPTS)))
    pictures = pipe(list(PROMPTS), seed=seeds, num_inference_steps=15, guidance_scale=4.0).images
    framed = [np.pad(np.asarray(picture), ((2, 2), (2, 2), (0, 0)), constant_values=255) for picture in pictures]
    rows = [np.concatenate(framed[i : i + COLUMNS], axis=1) for i in range(0, len(framed), COLUMNS)]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(rows)).save(args.out, quality=88)
    print(args.out)


if __name__ == "__main__":
    main()
