"""Two controls at once: a person's pose and the depth of the scene, composed by adding their residuals.

    python examples/compose_two.py [--prompt "a person …"] [--out outputs/compose]

Hardware: one CPU core. Time: about a minute. Expected: a sheet with four rows, one per choice of controls; pictures in
the last row have the pose of the first map and the landscape of the second (figure 6 of the paper).
"""

import argparse
from pathlib import Path

from PIL import Image

from zeroconv import Control, ControlNet, ControlPipeline, StableDiffusion
from zeroconv.data import truth
from zeroconv.images import write_png
from zeroconv.sheets import contact_sheet
from zeroconv.world import HELD_OUT_SEED, make


def main() -> None:
    """The same seeds under no control, each control alone, and both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompt", default="a person in a yellow shirt and black trousers on green grass, a sunny day")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--num-images", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("outputs/compose"))
    args = parser.parse_args()

    scene = make(HELD_OUT_SEED + 3, kind="person")
    pose_map, depth_map = truth(scene, "pose"), truth(scene, "depth")
    pose = Control(ControlNet.from_pretrained("tiny-pose"), image=pose_map)
    # Depth says where things are; a little less of it leaves the person to the skeleton.
    depth = Control(ControlNet.from_pretrained("tiny-depth"), image=depth_map, scale=0.8)
    pipe = ControlPipeline(StableDiffusion.from_pretrained("tiny"))

    choices = {"no control": [], "pose": [pose], "depth": [depth], "pose + depth": [pose, depth]}
    inputs = [Image.fromarray(scene.rgb), pose_map, depth_map, None]
    rows = [
        [given, *pipe(args.prompt, controls, num_inference_steps=args.steps, guidance_scale=4.0,
                      seed=1, num_images=args.num_images).images]
        for given, controls in zip(inputs, choices.values(), strict=True)
    ]  # fmt: skip
    sheet = contact_sheet(rows, row_titles=list(choices), title=args.prompt)
    print(write_png(sheet, args.out / "compose.png"))


if __name__ == "__main__":
    main()
