"""Maps as people bring them: right ones of scenes and drawings at several sizes, and everything that goes wrong with them."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from PIL import Image, ImageOps

from tests.conditions.corpus.photographs import depth_maps, normal_maps, photographs, pose_maps, segmentation_maps
from zeroconv import conditions
from zeroconv.conditions.map_checks import bend_correlation, extremes
from zeroconv.conditions.normal import read_normals
from zeroconv.conditions.openpose.drawing import draw_pose
from zeroconv.conditions.openpose.keypoints import People
from zeroconv.data.world_pairs import truth
from zeroconv.world import Picture, make

LINES = ("canny", "lines", "scribble", "lineart", "soft-edge")
PICTURE = ("map.picture", "map.no-lines")  # what is said of a picture in place of a map
SCENES = range(900_000_100, 900_000_124)


@dataclass(frozen=True)
class Case:
    """A map, whose it is given as, and what is to be said about it.

    Attributes:
        condition: as which it is given.
        what: what it is.
        image: the map.
        codes: one of these must be said; none for a right map.
    """

    condition: str
    what: str
    image: Image.Image
    codes: tuple[str, ...] = ()


@cache
def scenes() -> list[Picture]:
    """Scenes, with their exact maps."""
    return [make(seed) for seed in SCENES]


@cache
def drawings() -> list[Image.Image]:
    """Drawings in ink on paper: shapes, hatching, handwriting, a single stroke; 256 to 640 px."""
    made: list[Image.Image] = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        side = int(rng.choice([256, 384, 512, 640]))
        paper = np.full((side, side, 3), int(rng.integers(225, 256)), np.uint8)
        for _ in range(int(rng.integers(3, 12))):
            a, b = rng.integers(side // 8, side * 7 // 8, (2, 2)).tolist()
            ink = [int(rng.integers(0, 90))] * 3
            if rng.random() < 0.5:
                cv2.line(paper, a, b, ink, int(rng.integers(2, 4)), cv2.LINE_AA)
            else:
                cv2.circle(paper, a, int(rng.integers(side // 16, side // 4)), ink, int(rng.integers(2, 4)), cv2.LINE_AA)
        made.append(Image.fromarray(paper))
    return made


@cache
def pictures() -> list[Image.Image]:
    """Renderings, as they are and larger, photographs, and drawings."""
    rendered = [Image.fromarray(scene.rgb) for scene in scenes()]
    larger = [scene.resize((384, 384), Image.Resampling.BICUBIC) for scene in rendered[::4]]
    return [*rendered, *larger, *photographs(), *drawings()]


@cache
def extracted(name: str) -> list[Image.Image]:
    """The maps of `pictures()`."""
    return [conditions.extract(name, image) for image in pictures()]


def count_lit(image: Image.Image) -> int:
    """How many pixels are not black."""
    return int(np.count_nonzero(extremes(image)[0]))


def as_jpeg(image: Image.Image, quality: int = 90) -> Image.Image:
    """The same after a lossy round."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


@cache
def right() -> list[Case]:
    """Maps that are in order."""
    found = [Case(name, "extracted", image) for name in LINES for image in extracted(name)]
    for image in photographs():
        found += [Case("canny", "low thresholds", conditions.extract("canny", image, low=50, high=100))]
        found += [Case("soft-edge", "safe", conditions.extract("soft-edge", image, safe=True))]
        found += [Case("scribble", "xdog", conditions.extract("scribble", image, method="xdog"))]
        found += [Case("lineart", "coarse", conditions.extract("lineart", image, coarse=True))]
    found = [case for case in found if count_lit(case.image) > 40]  # of pictures without lines
    for scene in scenes():
        for name in ("depth", "normal", "segmentation"):
            found.append(Case(name, "exact", truth(scene, name)))
        found += [Case(name, "JPEG", as_jpeg(truth(scene, name))) for name in ("depth", "normal")]
        found.append(Case("depth", "larger", truth(scene, "depth").resize((512, 512), Image.Resampling.BICUBIC)))
        found += [Case("depth", what, image) for what, image in near_above(truth(scene, "depth"))]
        if scene.keypoints is not None:
            found.append(Case("pose", "exact", truth(scene, "pose")))
            for side in (256, 512, 768):
                drawn = draw_pose(scene.keypoints * [side / 128, side / 128, 1], (side, side))
                found += [Case("pose", f"drawn at {side}", drawn), Case("pose", "JPEG", as_jpeg(drawn, 95))]
            found.append(Case("pose", "thin", draw_pose(scene.keypoints * [4, 4, 1], (512, 512), thickness=4)))
    for name, maps in (
        ("depth", depth_maps()), ("normal", normal_maps()), ("segmentation", segmentation_maps()), ("pose", pose_maps()),
    ):  # fmt: skip
        found += [Case(name, "of a photograph", image) for image in maps]
        found += [Case(name, "of a photograph, JPEG", as_jpeg(image, 95)) for image in maps if name != "segmentation"]
    for number, image in enumerate(photographs()):
        found += [
            Case(name, "of a photograph", conditions.extract(name, image, seed=number)) for name in ("shuffle", "inpaint")
        ]
        found += [Case("tile", "of a photograph", conditions.extract("tile", image))]
    return found + crowds()


def near_above(depth: Image.Image) -> Iterator[tuple[str, Image.Image]]:
    """Depth maps in order whose top is bright: a ceiling and no ground, one over a ground or far from it, and a treetop."""
    grey = np.asarray(depth.convert("L")).astype(np.float32)
    height, width = grey.shape
    noise = cv2.resize(np.random.default_rng(0).standard_normal((6, 8)).astype(np.float32), (width, height), interpolation=2)
    leaves = noise + 2.2 * np.linspace(1, -1.6, height)[:, None] > 0.6
    made = {
        "a ceiling": grey[::-1],
        "a ceiling over a ground": np.maximum(grey, 0.9 * grey[::-1]),
        "a ceiling, a ground further off": np.maximum(0.5 * grey, grey[::-1]),
        "a treetop": np.where(leaves, np.maximum(grey, 190 + 15 * np.sign(noise)), grey),
    }
    for what, level in made.items():
        yield what, Image.fromarray(level.astype(np.uint8)).convert("RGB")


def crowds() -> list[Case]:
    """Several people, in part and whole, with sticks of every width; a face alone, and a hand."""
    bodies = [scene.keypoints for scene in scenes() if scene.keypoints is not None]
    found: list[Case] = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        side, people = int(rng.choice([256, 384, 512, 1024])), []
        for _ in range(int(rng.integers(1, 7))):
            body = bodies[rng.integers(len(bodies))].copy()
            body[:, :2] = body[:, :2] / 128 * side * rng.uniform(0.5, 1) + rng.uniform(0, side * 0.3, 2)
            body[:, 2] *= rng.random(18) > (rng.uniform(0, 0.8) if seed % 2 else 0)
            people.append(body)
        thickness = None if seed % 3 else float(rng.choice([2, 4, 12, 20]))
        drawn = draw_pose(np.stack(people), (side, side), None if seed % 2 else thickness)
        if np.asarray(drawn).any():
            found.append(Case("pose", "people", drawn))
    turn = np.linspace(0, 2 * np.pi, 70)
    face = np.stack([256 + 60 * np.cos(turn), 256 + 80 * np.sin(turn), np.ones(70)], axis=1)
    bones = [(angle, joint) for angle in np.linspace(0.4, 2.6, 5) for joint in range(1, 5)]
    fingers = [np.array([256 + 30 * i * np.cos(a), 300 - 30 * i * np.sin(a), 1]) for a, i in bones]
    hand = np.stack([np.array([256, 300, 1]), *fingers])
    nobody, nothing = np.zeros((1, 18, 3)), np.zeros((21, 3))
    found.append(Case("pose", "a face", draw_pose(People(nobody, None, face[None]), (512, 512))))
    found.append(Case("pose", "a hand", draw_pose(People(nobody, np.stack([hand, nothing])[None]), (512, 512))))
    return found


@cache
def wrong() -> list[Case]:
    """Maps that are not what they are given as."""
    rng = np.random.default_rng(7)
    noise = Image.fromarray(rng.integers(0, 256, (128, 128, 3), dtype=np.uint8))
    grey, dot = Image.new("RGB", (128, 128), (128, 128, 128)), Image.new("RGB", (256, 256))
    dot.putpixel((100, 90), (255, 255, 255))
    found: list[Case] = []
    for name in LINES:
        found += [Case(name, "noise", noise, (*PICTURE, "map.inverted", "map.colours"))]
        found += [Case(name, "grey", grey, (*PICTURE, "map.inverted"))]
        found += [Case(name, "black", Image.new("RGB", (64, 64)), ("map.empty",)), Case(name, "one pixel", dot, ("map.empty",))]
        found += [Case(name, "white", Image.new("RGB", (64, 64), "white"), ("map.inverted",))]
    for number, image in enumerate(pictures()):
        drawn_by_hand, canny = number >= len(pictures()) - len(drawings()), extracted("canny")[number]
        for name in LINES:
            of_it = extracted(name)[number]
            if count_lit(of_it) <= 40:
                continue
            found.append(Case(name, "inverted", ImageOps.invert(of_it), ("map.inverted", *PICTURE)))
            red = Image.fromarray(np.asarray(of_it) * np.array([1, 0, 0], np.uint8))
            found.append(Case(name, "red", red, ("map.colours",)))
            if not drawn_by_hand:
                picture = ImageOps.grayscale(image).convert("RGB")
                found.append(Case(name, "grey photograph", picture, (*PICTURE, "map.inverted")))
                found.append(Case(name, "photograph", image, (*PICTURE, "map.inverted")))
        if not drawn_by_hand:
            found.append(Case("depth", "grey photograph", ImageOps.grayscale(image).convert("RGB"), PICTURE))
            found.append(Case("normal", "photograph", image, ("map.no-unit-vectors",)))
            found.append(Case("segmentation", "photograph", image, ("map.palette",)))
            found.append(Case("pose", "photograph", image, (*PICTURE, "map.inverted")))
        if not drawn_by_hand:
            found.append(Case("lines", "canny", canny, ("map.other", "map.empty")))
        found.append(Case("depth", "canny", canny, ("map.other", "map.flat")))
        if min(image.size) >= 256:
            strokes = conditions.extract("scribble", image, width=3)
            thick = Image.fromarray(cv2.dilate(np.asarray(strokes), np.ones((7, 7), np.uint8)))
            for what, drawn in (("thin scribble", strokes), ("thick scribble", thick)):
                if np.asarray(drawn).any():
                    found.append(Case("canny", what, drawn, ("map.thick", "map.empty", *PICTURE, "map.inverted")))
    return found + list(wrong_truths()) + list(wrong_maps_of_photographs())


def wrong_truths() -> Iterator[Case]:
    """Exact maps, exchanged, with channels swapped, upside down in value, or out of range."""
    for seed, scene in zip(SCENES, scenes(), strict=True):
        depth, normal, classes = (truth(scene, name) for name in ("depth", "normal", "segmentation"))
        yield Case("depth", "millimetres", Image.fromarray(np.asarray(depth) // 16), ("map.range", "map.flat"))
        yield Case("depth", "normals", normal, ("map.colours",))
        yield Case("depth", "inverted", ImageOps.invert(depth), ("map.inverted",))
        _, numbers = np.unique(scene.classes, return_inverse=True)
        levels = (numbers.reshape(scene.classes.shape) * 255 // max(1, numbers.max())).astype(np.uint8)
        for what, grey in (("numbers of classes", scene.classes), ("levels of classes", levels), ("grey palette", classes)):
            of_classes = Image.fromarray(grey).convert("RGB") if isinstance(grey, np.ndarray) else ImageOps.grayscale(grey)
            yield Case("depth", what, of_classes.convert("RGB"), ("map.classes", "map.range"))
            yield Case("depth", what, of_classes.resize((320, 320), 2).convert("RGB"), ("map.classes", "map.range"))
        yield Case("normal", "BGR", swapped(normal), ("map.channels", "map.no-unit-vectors"))
        if bend_correlation(read_normals(normal)) > 0.12:  # of curved surfaces: of flat ones nobody can tell
            for what, channel in (("red flipped", 0), ("green flipped", 1)):
                flipped = np.asarray(normal).copy()
                flipped[..., channel] = 255 - flipped[..., channel]
                yield Case("normal", what, Image.fromarray(flipped), ("map.mirrored", "map.upside-down"))
        yield Case("normal", "depth", depth, ("map.no-unit-vectors",))
        yield Case("segmentation", "depth", depth, ("map.palette", "map.empty"))
        yield Case("segmentation", "resized", classes.resize((300, 300), Image.Resampling.BICUBIC), ("map.palette",))
        for name in ("canny", "scribble", "lineart", "soft-edge"):
            yield Case(name, "segmentation", classes, (*PICTURE, "map.colours", "map.inverted"))
            yield Case(name, "normals", normal, (*PICTURE, "map.colours", "map.inverted"))
        yield Case("pose", "depth", depth, (*PICTURE, "map.inverted", "map.no-joints"))
        yield Case("pose", "segmentation", classes, (*PICTURE, "map.inverted"))
        if scene.keypoints is not None:
            pose = draw_pose(scene.keypoints * [4, 4, 1], (512, 512))
            yield Case("pose", "BGR", swapped(pose), ("map.channels", "map.no-joints"))
            yield Case(
                "pose", "rolled", Image.fromarray(np.roll(np.asarray(pose), 1, axis=2)), ("map.channels", "map.no-joints")
            )
            yield Case("pose", "inverted", ImageOps.invert(pose), ("map.inverted",))
            yield Case("canny", "pose", pose, ("map.colours",))
        stroke = np.zeros((256, 256, 3), np.uint8)
        cv2.line(stroke, (30, 40), (200, 40 + seed % 100), (0, 255, 0), 6)
        yield Case("pose", "one green stroke", Image.fromarray(stroke), ("map.no-joints",))


def wrong_maps_of_photographs() -> Iterator[Case]:
    """Measured depth and its normals, and regions of photographs, changed or given as something else."""
    for depth in depth_maps():
        yield Case("depth", "inverted", ImageOps.invert(depth), ("map.inverted",))
        yield Case("depth", "millimetres", Image.fromarray(np.asarray(depth) // 16), ("map.range", "map.flat"))
        yield Case("normal", "depth", depth, ("map.no-unit-vectors",))
        yield Case("segmentation", "depth", depth, ("map.palette", "map.empty"))
        for name in LINES:
            yield Case(name, "depth", depth, (*PICTURE, "map.inverted", "map.grey-lines"))
    for normal in normal_maps():
        yield Case("normal", "BGR", swapped(normal), ("map.channels", "map.no-unit-vectors"))
        yield Case("depth", "normals", normal, ("map.colours",))
        for what, channel in (("red flipped", 0), ("green flipped", 1)):
            flipped = np.asarray(normal).copy()
            flipped[..., channel] = 255 - flipped[..., channel]
            yield Case("normal", what, Image.fromarray(flipped), ("map.mirrored", "map.upside-down"))
    for classes in segmentation_maps():
        smaller = classes.resize((200, 200), Image.Resampling.BICUBIC)
        yield Case("segmentation", "resized", smaller, ("map.palette",))
        yield Case(
            "depth", "grey palette", ImageOps.grayscale(classes).convert("RGB"), ("map.classes", "map.range", "map.picture")
        )
        for name in LINES:
            yield Case(name, "segmentation", classes, (*PICTURE, "map.colours", "map.inverted"))
    for image in photographs():
        whole = image.convert("RGBA")
        yield Case("inpaint", "without a hole", whole, ("map.no-hole", "map.empty"))
        for name in ("shuffle", "tile"):
            yield Case(name, "one colour", Image.new("RGB", image.size, image.getpixel((9, 9))), ("map.flat",))


def swapped(image: Image.Image) -> Image.Image:
    """Red and blue exchanged."""
    return Image.fromarray(np.ascontiguousarray(np.asarray(image)[:, :, ::-1]))
