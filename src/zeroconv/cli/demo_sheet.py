"""The four pictures of the demo: what they are, what is made of them, and the sheet that shows it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from zeroconv import conditions
from zeroconv.conditions import extract
from zeroconv.evaluation import badge
from zeroconv.generation import Control, Output, save_images
from zeroconv.images import open_image, write_png
from zeroconv.sheets import contact_sheet, overlay
from zeroconv.stable_diffusion import StableDiffusion

__all__ = ["Made", "Showpiece", "lines_of", "open_showpieces", "show"]

DARK = 140  # a pencil line is darker than this, paper lighter
GREEN = (126, 231, 150)


@dataclass(frozen=True)
class Showpiece:
    """One bundled picture.

    Attributes:
        name: its file's, without the ending.
        prompt: what to make of it.
        condition: that is taken from it.
        image: the picture.
        map: the condition's.
    """

    name: str
    prompt: str
    condition: str
    image: Image.Image
    map: Image.Image

    def score(self, image: Image.Image) -> float:
        """How well a picture obeys the map, by the condition's own measure, in [0, 1]."""
        return conditions.get(self.condition).fidelity(image, self.map)


@dataclass(frozen=True)
class Made:
    """What is made of a showpiece.

    Attributes:
        piece: the showpiece.
        control: of its condition.
        controlled: with the control, one picture.
        uncontrolled: of the same prompt and seed, without.
    """

    piece: Showpiece
    control: Control
    controlled: Output
    uncontrolled: Output

    @property
    def pictures(self) -> tuple[Image.Image, Image.Image]:
        """Without control and with it."""
        return self.uncontrolled.images[0], self.controlled.images[0]


def open_showpieces() -> list[Showpiece]:
    """The bundled pictures, with their maps."""
    folder = Path(str(files("zeroconv") / "assets" / "demo"))
    entries: list[dict[str, str]] = json.loads((folder / "demo.json").read_text("utf-8"))
    pieces: list[Showpiece] = []
    for entry in entries:
        image, condition = open_image(folder / entry["file"]), entry["condition"]
        made = lines_of(image) if entry["kind"] == "drawing" else extract(condition, image)
        pieces.append(Showpiece(Path(entry["file"]).stem, entry["prompt"], condition, image, made))
    return pieces


def lines_of(drawing: Image.Image) -> Image.Image:
    """The lines of a drawing, white on black: what an extractor finds are both sides of each."""
    lines = np.asarray(drawing.convert("L")) < DARK  # (H, W)
    return Image.fromarray(np.repeat((lines * 255).astype(np.uint8)[..., None], 3, axis=2))


def show(made: Sequence[Made], base: StableDiffusion, out: Path) -> dict[str, Any]:
    """Judge the pictures, write them, their inputs, their maps and the sheet, and report.

    Raises:
        OSError: when a file cannot be written.
    """
    scores = [tuple(map(one.piece.score, one.pictures)) for one in made]
    pictures: list[dict[str, Any]] = []
    for one, (without, obeyed) in zip(made, scores, strict=True):
        piece = one.piece
        write_png(piece.image, out / "inputs" / f"{piece.name}.png")
        write_png(piece.map, out / "maps" / f"{piece.name}.png")
        saved = save_images(one.controlled, [one.control], out / "with-control", base)
        plain = save_images(one.uncontrolled, [], out / "without-control", base)
        pictures.append(
            {
                "input": piece.name,
                "prompt": piece.prompt,
                "condition": piece.condition,
                "control": one.controlled.requests[0].controls[0].network,
                "scale": one.control.scale,
                "measure": conditions.get(piece.condition).metric,
                "seed": one.controlled.requests[0].seed,
                "score_controlled": obeyed,
                "score_uncontrolled": without,
                "map": f"maps/{piece.name}.png",
                "controlled": saved.pictures[0].relative_to(out).as_posix(),
                "uncontrolled": plain.pictures[0].relative_to(out).as_posix(),
            }
        )
    request = made[0].controlled.requests[0]
    scales = [f", {one.piece.condition} at strength {one.control.scale:g}" for one in made if one.control.scale != 1]
    footer = (
        "Each score compares the map that is found in the picture with the one that was given; 1 is a perfect match. "
        f"Base {request.base.name}, seeds {request.seed} to {made[-1].controlled.requests[0].seed}, "
        f"{request.num_inference_steps} steps, guidance {request.guidance_scale:g}, weighting "
        f"{request.weighting}{''.join(scales)}."
    )
    write_png(sheet_of(made, scores, footer), out / "sheet.png")
    return {
        "base": request.base.name,
        "steps": request.num_inference_steps,
        "guidance_scale": request.guidance_scale,
        "sampler": request.sampler,
        "weighting": request.weighting,
        "sheet": "sheet.png",
        "pictures": pictures,
    }


def sheet_of(made: Sequence[Made], scores: Sequence[tuple[float, ...]], footer: str) -> Image.Image:
    """The contact sheet: one row per showpiece."""
    rows: list[list[Image.Image | None]] = []
    for one, (without, obeyed) in zip(made, scores, strict=True):
        piece, (plain, controlled) = one.piece, one.pictures
        measure = conditions.get(piece.condition).metric
        rows.append(
            [
                piece.image,
                badge(piece.map, piece.condition),
                badge(plain, f"{measure} {without:.2f}"),
                badge(controlled, f"{measure} {obeyed:.2f}", colour=GREEN),
                overlay(controlled, piece.map),
            ]
        )
    return contact_sheet(
        rows,
        column_titles=["input", "its map", "without control", "with control", "the map over it"],
        row_titles=[one.piece.prompt for one in made],
        title="zeroconv demo: the same prompt and seed, without and with a ControlNet",
        footer=footer,
    )
