"""The pictures of `zeroconv demo`: three held-out scenes of the tiny world, and a house drawn with an unsteady hand.

Command: python experiments/tiny/demo_pictures.py
Takes a second on any machine; writes src/zeroconv/assets/demo/, the same bytes every time.
"""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from zeroconv.images import write_png
from zeroconv.world import make

OUT = Path(__file__).parents[2] / "src" / "zeroconv" / "assets" / "demo"
SIZE, FINE = 128, 8  # the drawing is made FINE times larger, then reduced
PAPER, PENCIL = (252, 250, 244), (48, 46, 54)

SCENES = {
    "house": (
        900_000_011, "canny",
        "a white house with a red roof and a blue door on green grass, a path, bushes, a blue sky",
    ),
    "car": (900_000_339, "depth", "a red car on green grass, a tree, under a blue sky"),
    "runner": (
        900_000_032, "pose",
        "a person in a red shirt and blue trousers running on snow, mountains, a tree, a sunny day",
    ),
}  # fmt: skip
"""Seed, condition and prompt; the prompts ask for other colours than the scenes have, only the map is the same."""
DRAWING = (
    "drawing", "scribble",
    "an orange house with a purple roof and a white door on green grass, a tree, a path, an evening sky",
)  # fmt: skip


def main() -> None:
    """Write pictures and prompts."""
    entries: list[dict[str, str]] = []
    for name, (seed, condition, prompt) in SCENES.items():
        picture = make(seed, size=SIZE)
        write_png(Image.fromarray(picture.rgb), OUT / f"{name}.png")
        entries.append({"file": f"{name}.png", "prompt": prompt, "kind": "photo", "condition": condition})
    name, condition, prompt = DRAWING
    write_png(draw_house(), OUT / f"{name}.png")
    entries.append({"file": f"{name}.png", "prompt": prompt, "kind": "drawing", "condition": condition})
    (OUT / "demo.json").write_text(json.dumps(entries, indent=2) + "\n", "utf-8")


def draw_house() -> Image.Image:
    """A house, a tree, a path and hills, in pencil."""
    canvas = Image.new("RGB", (SIZE * FINE, SIZE * FINE), PAPER)
    hand = Hand(canvas, np.random.default_rng(5))
    hand.line((0, 80), (20, 77))  # the horizon, behind the house
    hand.line((81, 78), (104, 75))
    hand.line((111, 75), (128, 78))
    hand.line((20, 103), (20, 57))  # walls
    hand.line((20, 103), (81, 103))
    hand.line((81, 104), (81, 56))
    hand.line((13, 58), (29, 31), (72, 31), (88, 58), (13, 58))  # roof
    hand.line((61, 31), (61, 20), (70, 20), (70, 31))  # chimney
    hand.line((43, 103), (43, 77), (58, 77), (58, 103))  # door
    for x in (25, 64):  # windows
        hand.line((x, 67), (x + 12, 67), (x + 12, 80), (x, 80), (x, 67))
        hand.line((x + 6, 67), (x + 6, 80))
    hand.line((44, 104), (39, 114), (29, 128))  # path
    hand.line((58, 104), (60, 115), (67, 128))
    hand.line((105, 98), (106, 65))  # trunk
    hand.line((111, 98), (110, 65))
    hand.circle((108, 51), 15)
    return canvas.resize((SIZE, SIZE), Image.Resampling.BOX)


class Hand:
    """Draws lines that waver as a hand does: slow noise along the line, and ends that miss a little."""

    def __init__(self, canvas: Image.Image, noise: np.random.Generator) -> None:
        self.draw, self.noise = ImageDraw.Draw(canvas), noise

    def line(self, *corners: tuple[float, float]) -> None:
        """A polyline through corners in pixels of the finished drawing."""
        for start, end in pairwise(corners):
            a, b = (np.array(point) + self.noise.normal(0, 0.45, 2) for point in (start, end))
            along = np.linspace(0, 1, max(int(np.hypot(*(b - a)) * 2), 4))[:, None]  # (N, 1)
            self.stroke(a + (b - a) * along)

    def circle(self, centre: tuple[float, float], radius: float) -> None:
        """A closed curve that is nearly a circle."""
        angles = np.linspace(0, 2 * np.pi + 0.12, 90)[:, None]
        wobble = sum(self.noise.normal(0, 0.05) * np.sin(k * angles + self.noise.uniform(0, 6)) for k in (2, 3, 4, 5))
        self.stroke(np.array(centre) + radius * (1 + wobble) * np.hstack([np.cos(angles), np.sin(angles)]))

    def stroke(self, points: np.ndarray) -> None:
        """Points (N, 2), shaken smoothly, drawn as a pencil line."""
        shake = self.noise.normal(0, 1, points.shape).cumsum(0)
        shake -= np.linspace(0, 1, len(points))[:, None] * shake[-1]  # both ends stay
        shaken = (points + 0.09 * shake) * FINE
        radius = 0.6 * FINE
        flat = [tuple(point) for point in shaken.tolist()]
        self.draw.line(flat, fill=PENCIL, width=round(2 * radius), joint="curve")
        for x, y in (flat[0], flat[-1]):
            self.draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=PENCIL)


if __name__ == "__main__":
    main()
