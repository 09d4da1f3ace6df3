"""Each extractor against the exact truth of the tiny world, and what each measure says of a true map and of wrong pictures.

    python -m experiments.conditions.truth --count 1000 --out outputs/truth

Held-out scenes only. Prints two Markdown tables and writes the numbers as `truth.json`; means with 95 % bootstrap
intervals over the scenes. One thread of a CPU takes about 12 minutes for 1,000 scenes.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from zeroconv.conditions import extract, get, names
from zeroconv.conditions.depth import depth_map, inverse_depth
from zeroconv.conditions.normal import normal, normal_map, read_normals
from zeroconv.conditions.openpose.drawing import draw_pose
from zeroconv.conditions.pose import estimate_people
from zeroconv.conditions.raster.morphology import read_strokes, thin
from zeroconv.conditions.segmentation import PALETTE, read_classes, segmentation_map
from zeroconv.metrics.bootstrap import Interval, bootstrap_mean
from zeroconv.metrics.edges import f_beta, matched_fraction
from zeroconv.metrics.geometry import angle_scores, depth_scores
from zeroconv.metrics.keypoints import oks, pck
from zeroconv.world import HELD_OUT_SEED, Picture, make

STEP, CREASE = 1.1, 25.0  # a discontinuity: distances with a greater ratio, normals further apart in degrees
EDGES: dict[str, dict[str, Any]] = {  # what is compared with the true discontinuities
    "canny": {},
    "soft-edge": {},
    "scribble": {},
    "scribble, xdog": {"method": "xdog"},
    "lineart": {},
    "lineart, coarse": {"coarse": True},
    "lines": {},
}
Table = dict[str, dict[str, list[float]]]  # of a row and a column: one number per scene


def discontinuities(scene: Picture) -> np.ndarray:
    """Where the class, the distance or the normal jumps between neighbours: (S, S) bool, on the nearer of the two."""
    edges = np.zeros(scene.classes.shape, bool)
    for axis in (0, 1):
        first, second = ((slice(None, -1), slice(1, None))[i] for i in (0, 1))
        a, b = ((first, slice(None)), (second, slice(None))) if axis == 0 else ((slice(None), first), (slice(None), second))
        near, far = np.sort(np.stack([scene.distance[a], scene.distance[b]]), axis=0)
        cosine = (scene.normals[a] * scene.normals[b]).sum(-1)
        both = np.isfinite(far)
        jump = (scene.classes[a] != scene.classes[b]) | (np.isfinite(near) & (far > STEP * near))
        jump |= both & (cosine < np.cos(np.radians(CREASE)))
        ahead = scene.distance[b] < scene.distance[a]
        edges[a] |= jump & ~ahead
        edges[b] |= jump & ahead
    return edges


def judge(scene: Picture, table: Table) -> None:
    """Add one scene's numbers of every extractor that has a truth."""
    image = Image.fromarray(scene.rgb)

    def add(row: str, **numbers: float) -> None:
        for column, number in numbers.items():
            table[row][column].append(number)

    wanted = discontinuities(scene)
    for row, parameters in EDGES.items():
        drawn = read_strokes(extract(row.partition(",")[0], image, **parameters))
        found = thin(drawn)
        precision, recall = matched_fraction(found, wanted, 1), matched_fraction(wanted, found, 1)
        add(row, precision=precision, recall=recall, F1=f_beta(precision, recall))
    inverse = np.where(np.isfinite(scene.distance), 1 / scene.distance, 0)
    near = depth_scores(inverse_depth(image), inverse)
    add("depth", **{"δ1": near.delta1, "relative error": near.relative, "RMSE (1/m)": near.rmse})
    bent = angle_scores(read_normals(normal(image)) * np.isfinite(scene.distance)[..., None], scene.normals)
    add(
        "normal",
        **{"mean angle": bent.mean, "median": bent.median, "within 11.25°": bent.within_11, "within 30°": bent.within_30},
    )
    classes = read_classes(extract("segmentation", image))
    add("segmentation", **{"accuracy": float((classes == scene.classes).mean()), "mean IoU": overlap(classes, scene.classes)})
    people, person = estimate_people(image).body, scene.keypoints
    if person is None or not person[:, 2].any():
        add("pose, nobody there", **{"nobody found": float(len(people) == 0)})
        return
    visible, joints = person[:, 2] > 0, person[:, :2]
    low, high = joints[visible].min(axis=0), joints[visible].max(axis=0)
    seen = people[0, :, :2] if len(people) else np.full((18, 2), -1e6)
    near_person = pck(seen, joints, visible, 0.1, float(max(high - low)))
    near_picture = pck(seen, joints, visible, 0.05, len(scene.rgb))
    likeness = oks(seen, joints, visible, max(float(np.prod(high - low)), 1.0))
    add("pose", **{"PCK@0.1 of the person": near_person, "PCK@0.05 of the width": near_picture, "OKS": likeness})


def overlap(found: np.ndarray, wanted: np.ndarray) -> float:
    """Mean IoU of the classes that cover 0.5 % of a scene or more."""
    picked = [index for index in np.unique(wanted) if (wanted == index).mean() >= 0.005]
    return float(np.mean([((found == i) & (wanted == i)).sum() / ((found == i) | (wanted == i)).sum() for i in picked]))


class Confusion:
    """Shared and joint pixels of every class over scenes, for the mean IoU of a whole set."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.shared: list[np.ndarray] = []
        self.joint: list[np.ndarray] = []

    def add(self, found: np.ndarray, wanted: np.ndarray) -> None:
        """Count one scene."""
        kinds = len(PALETTE)
        hit = np.bincount(wanted[found == wanted].ravel(), minlength=kinds)[:kinds]
        self.shared.append(hit)
        total = np.bincount(wanted.ravel(), minlength=kinds)[:kinds] + np.bincount(found.ravel(), minlength=kinds)[:kinds]
        self.joint.append(total - hit)

    def interval(self) -> Interval:
        """Mean over the classes of shared / joint pixels of all scenes, with a bootstrap over the scenes."""
        shared, joint = np.array(self.shared, float), np.array(self.joint, float)
        kinds = joint.sum(axis=0) > 0

        def mean(of: np.ndarray) -> float:
            return float((shared[of].sum(0)[kinds] / joint[of].sum(0)[kinds].clip(1)).mean())

        generator = np.random.default_rng(0)
        drawn = [mean(generator.integers(0, len(joint), len(joint))) for _ in range(500)]
        return Interval(mean(np.arange(len(joint))), *np.percentile(drawn, (2.5, 97.5)).tolist())


def maps_of(scene: Picture, number: int) -> dict[str, Image.Image]:
    """The exact map of every condition that has one; of the others the map of the true picture."""
    image = Image.fromarray(scene.rgb)
    maps = {name: extract(name, image) for name in names() if name not in ("depth", "normal", "segmentation", "pose")}
    maps["inpaint"] = extract("inpaint", image, seed=number)
    maps |= {
        "depth": depth_map(scene.distance),
        "normal": normal_map(scene.normals),
        "segmentation": segmentation_map(scene.classes),
    }
    if scene.keypoints is not None and scene.keypoints[:, 2].any():
        maps["pose"] = draw_pose(scene.keypoints, image.size)
    return maps


def ceilings(scenes: Iterator[tuple[Picture, Picture]], table: Table) -> None:
    """Each measure on pictures with their own map, and its three floors: another scene, a flat grey picture, and noise."""
    for number, (scene, other) in enumerate(scenes):
        noise = Image.fromarray(np.random.default_rng(number).integers(0, 256, scene.rgb.shape, dtype=np.uint8))
        image = Image.fromarray(scene.rgb)
        own, wrong = maps_of(scene, number), maps_of(other, number)
        for name in names():
            if name in own and name in wrong:
                table[name]["its own map"].append(get(name).fidelity(image, own[name]))
                table[name]["another's"].append(get(name).fidelity(image, wrong[name]))
                table[name]["a flat picture"].append(get(name).fidelity(Image.new("RGB", image.size, (128,) * 3), own[name]))
                table[name]["noise"].append(get(name).fidelity(noise, own[name]))


def markdown(table: Table) -> list[str]:
    """The rows of a table."""
    return [
        f"| {row} | {len(next(iter(columns.values())))} | "
        + ", ".join(f"{name} {bootstrap_mean(numbers)}" for name, numbers in columns.items())
        + " |"
        for row, columns in table.items()
    ]


def intervals(table: Table) -> dict[str, dict[str, dict[str, float]]]:
    """A table with a mean, an interval and a count in the place of each list."""
    return {
        row: {column: bootstrap_mean(numbers).to_dict() | {"scenes": len(numbers)} for column, numbers in columns.items()}
        for row, columns in table.items()
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Judge, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=1000, help="scenes judged")
    parser.add_argument("--ceilings", type=int, default=200, help="scenes whose measures are tried")
    parser.add_argument("--out", type=Path, default=Path("outputs/truth"))
    options = parser.parse_args(arguments)
    judged: Table = defaultdict(lambda: defaultdict(list))
    tried: Table = defaultdict(lambda: defaultdict(list))
    confusion = Confusion()
    for number in range(options.count):
        scene = make(HELD_OUT_SEED + number)
        judge(scene, judged)
        confusion.add(read_classes(extract("segmentation", Image.fromarray(scene.rgb))), scene.classes)
        if number % 100 == 99:
            print(f"{number + 1} of {options.count} scenes", flush=True)
    pairs = range(options.ceilings)
    ceilings(((make(HELD_OUT_SEED + n), make(HELD_OUT_SEED + n + 1)) for n in pairs), tried)
    print("\n| extractor | scenes | against the truth |\n|---|---|---|", *markdown(judged), sep="\n")
    print(f"| segmentation, as one set | {options.count} | mean IoU {confusion.interval()} |")
    print("\n| measure | scenes | of a picture and |\n|---|---|---|", *markdown(tried), sep="\n")
    options.out.mkdir(parents=True, exist_ok=True)
    numbers = {part: intervals(table) for part, table in (("truth", judged), ("measures", tried))}
    numbers["truth"]["segmentation"]["miou_of_the_set"] = confusion.interval().to_dict() | {"scenes": options.count}
    (options.out / "truth.json").write_text(json.dumps(numbers, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
