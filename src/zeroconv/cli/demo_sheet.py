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

__all__ = ["Showpiece", "edges_of", "open_showpieces", "show"]

DARK = 140  # a pencil line is darker than this, paper lighter
GREEN = (126, 231, 150)


@dataclass(frozen=True)
class Showpiece:
    """One bundled picture.

    Attributes:
        name: its file's, without the ending.
        prompt: what to make of it.
        kind: "photo" or "drawing".
        image: the picture.
        edges: its edge map.
    """

    name: str
    prompt: str
    kind: str
    image: Image.Image
    edges: Image.Image


def open_showpieces() -> list[Showpiece]:
    """The bundled pictures, with their edges."""
    folder = Path(str(files("zeroconv") / "assets" / "demo"))
    entries: list[dict[str, str]] = json.loads((folder / "demo.json").read_text("utf-8"))
    pieces: list[Showpiece] = []
    for entry in entries:
        image = open_image(folder / entry["file"])
        edges = edges_of(image, entry["kind"])
        pieces.append(Showpiece(Path(entry["file"]).stem, entry["prompt"], entry["kind"], image, edges))
    return pieces


def edges_of(image: Image.Image, kind: str) -> Image.Image:
    """Canny edges of a photo; a drawing's lines themselves, white on black (Canny would find both sides of each)."""
    if kind == "photo":
        return extract("canny", image)
    lines = np.asarray(image.convert("L")) < DARK  # (H, W)
    return Image.fromarray(np.repeat((lines * 255).astype(np.uint8)[..., None], 3, axis=2))


def edge_f1(image: Image.Image, edges: Image.Image) -> float:
    """How well the edges of a picture meet a map, in [0, 1]."""
    return conditions.get("canny").fidelity(image, edges)


def show(
    pieces: Sequence[Showpiece],
    base: StableDiffusion,
    controls: Sequence[Control],
    controlled: Output,
    uncontrolled: Output,
    out: Path,
) -> dict[str, Any]:
    """Judge the pictures, write them, their inputs and the sheet, and report.

    Raises:
        OSError: when a file cannot be written.
    """
    obeyed = [edge_f1(image, piece.edges) for image, piece in zip(controlled.images, pieces, strict=True)]
    without = [edge_f1(image, piece.edges) for image, piece in zip(uncontrolled.images, pieces, strict=True)]
    means = sum(obeyed) / len(obeyed), sum(without) / len(without)
    one = controlled.requests[0]
    footer = (
        f"Edge F1 {means[1]:.2f} without control, {means[0]:.2f} with it: mean of {len(pieces)} pictures, where 1 is a "
        f"perfect match within one pixel. {one.controls[0].network} on {one.base.name}, "
        f"seeds {one.seed} to {controlled.requests[-1].seed}, {one.num_inference_steps} steps, "
        f"guidance {one.guidance_scale:g}."
    )
    saved = save_images(controlled, controls, out / "with-control", base)
    plain = save_images(uncontrolled, [], out / "without-control", base)
    for piece in pieces:
        write_png(piece.image, out / "inputs" / f"{piece.name}.png")
    write_png(sheet_of(pieces, controlled.images, uncontrolled.images, obeyed, without, footer), out / "sheet.png")
    pictures = [
        {
            "input": piece.name,
            "prompt": piece.prompt,
            "seed": controlled.requests[i].seed,
            "edge_f1_controlled": obeyed[i],
            "edge_f1_uncontrolled": without[i],
            "controlled": saved.pictures[i].relative_to(out).as_posix(),
            "uncontrolled": plain.pictures[i].relative_to(out).as_posix(),
        }
        for i, piece in enumerate(pieces)
    ]
    return {
        "edge_f1_controlled": means[0],
        "edge_f1_uncontrolled": means[1],
        "base": one.base.name,
        "control": one.controls[0].network,
        "steps": one.num_inference_steps,
        "guidance_scale": one.guidance_scale,
        "sampler": one.sampler,
        "sheet": "sheet.png",
        "pictures": pictures,
    }


def sheet_of(
    pieces: Sequence[Showpiece],
    controlled: Sequence[Image.Image],
    uncontrolled: Sequence[Image.Image],
    obeyed: Sequence[float],
    without: Sequence[float],
    footer: str,
) -> Image.Image:
    """The contact sheet: one row per showpiece."""
    rows: list[list[Image.Image | None]] = [
        [
            piece.image,
            piece.edges,
            badge(uncontrolled[i], f"F1 {without[i]:.2f}"),
            badge(controlled[i], f"F1 {obeyed[i]:.2f}", colour=GREEN),
            overlay(controlled[i], extract("canny", controlled[i])),
        ]
        for i, piece in enumerate(pieces)
    ]
    return contact_sheet(
        rows,
        column_titles=["input", "its edges", "without control", "with control", "edges found in it"],
        row_titles=[piece.prompt for piece in pieces],
        title="zeroconv demo: the same prompt and seed, without and with an edge map",
        footer=footer,
    )
