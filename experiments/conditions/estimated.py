"""Draw the pictures of the pages on depth, normals, segmentation and pose: `python -m experiments.conditions.estimated`."""

from pathlib import Path

from experiments.webp import write_webp
from PIL import Image

from zeroconv.conditions.depth import depth, depth_map
from zeroconv.conditions.normal import normal, normal_map
from zeroconv.conditions.openpose.drawing import draw_pose
from zeroconv.conditions.pose import pose
from zeroconv.conditions.segmentation import segmentation, segmentation_map
from zeroconv.world import HELD_OUT_SEED, make

FOLDER = Path(__file__).parents[2] / "docs" / "images" / "conditions"
SCENES = (HELD_OUT_SEED + 40, HELD_OUT_SEED + 46)
SIZE = 192


def draw(folder: Path = FOLDER) -> list[Path]:
    """One picture for each condition: two scenes, each beside its exact map and the map read back from it.

    Returns:
        The files written.
    """
    scenes = [make(seed, "person") for seed in SCENES]
    strips: dict[str, list[Image.Image]] = {"depth": [], "normal": [], "segmentation": [], "pose": []}
    for scene in scenes:
        image = Image.fromarray(scene.rgb)
        assert scene.keypoints is not None
        strips["depth"] += [image, depth_map(scene.distance), depth(image)]
        strips["normal"] += [image, normal_map(scene.normals), normal(image)]
        strips["segmentation"] += [image, segmentation_map(scene.classes), segmentation(image)]
        strips["pose"] += [image, draw_pose(scene.keypoints, image.size), pose(image)]
    written: list[Path] = []
    for name, images in strips.items():
        strip = Image.new("RGB", (SIZE * len(images), SIZE))
        for column, image in enumerate(images):
            strip.paste(image.resize((SIZE, SIZE), Image.Resampling.NEAREST), (column * SIZE, 0))
        written.append(write_webp(strip, folder / f"{name}.webp"))
    return written


if __name__ == "__main__":
    for path in draw():
        print(path)
