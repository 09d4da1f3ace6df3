"""Whether maps lie on their pictures: edges of both, compared in place, mirrored, shifted, and with other rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from zeroconv.messages import Message

__all__ = ["Displacement", "edge_energy", "find_displaced", "tell_displaced"]

SIDE = 64
"""Pictures and maps are compared at this size, whatever their shape."""
FEWEST = 6
"""With fewer rows nothing is known of what a map that belongs elsewhere scores by chance."""
OUTLIER, GAIN, LEAST = 4.0, 0.12, 0.2
"""A place counts when its correlation is this many spreads above chance, this much above the map's own, and this high."""
POWER = 0.5  # under 1, so that faint edges count beside strong ones
TWINS = 0.6  # pictures whose own parts correlate as much show one scene
STROKES = frozenset({"canny", "soft-edge", "scribble", "lines", "lineart"})  # maps whose values are edges already
BLOCK = 1000  # rows that are compared with each other
NEAREST_SHIFT, FARTHEST_SHIFT = 3, 21  # of SIDE
UNALIGNED = frozenset({"shuffle"})  # maps that by their contract do not lie on their picture

Energy = NDArray[np.float32]


@dataclass(frozen=True)
class Displacement:
    """A map that fits another place better than its own.

    Attributes:
        row: whose map it is.
        kind: "mirrored", "upside down", "shifted" or "exchanged".
        detail: by how much it is shifted, or which row it fits; "" otherwise.
    """

    row: int
    kind: str
    detail: str = ""


def edge_energy(image: Image.Image, condition: str | None = None) -> Energy:
    """Where edges are, (64, 64), mean 0 and length 1; zeros for a picture without any.

    It is a power of the largest gradient over the channels, or of the largest channel where a map's values are edges.

    Args:
        image: a picture, or a map.
        condition: of the map.
    """
    small = image.convert("RGB").resize((2 * SIDE, 2 * SIDE), Image.Resampling.BOX, reducing_gap=2.0)
    pixels = np.asarray(small.filter(ImageFilter.GaussianBlur(0.7)), np.float32)  # (128, 128, 3)
    if condition in STROKES:
        return normalise(pixels.max(axis=2))
    down, right = np.zeros_like(pixels), np.zeros_like(pixels)
    down[1:-1] = pixels[2:] - pixels[:-2]
    right[:, 1:-1] = pixels[:, 2:] - pixels[:, :-2]
    return normalise(np.hypot(down, right).max(axis=2))


def normalise(edges: NDArray[np.float32]) -> Energy:
    """Edges (128, 128) as `edge_energy` gives them."""
    energy = (edges**POWER).reshape(SIDE, 2, SIDE, 2).mean(axis=(1, 3))
    energy -= energy.mean()
    length = float(np.sqrt((energy**2).sum()))
    return energy / length if length > 1e-3 else np.zeros_like(energy)


def find_displaced(pictures: Sequence[Energy], maps: Sequence[Energy]) -> list[Displacement]:
    """Maps that fit a mirrored or shifted picture, or another row's, clearly better than their own.

    What is clear is measured by the other rows: `LEAST`, `GAIN` and `OUTLIER` say how. With fewer than six rows, or where
    maps have too little in common with pictures, nothing is found.

    Args:
        pictures: `edge_energy` of each row's picture.
        maps: of its map.
    """
    found: list[Displacement] = []
    rows = [row for row in range(len(maps)) if maps[row].any() and pictures[row].any()]
    for first in range(0, len(rows), BLOCK):
        block = rows[first : first + BLOCK]
        for one in find_in_block(np.stack([pictures[row] for row in block]), np.stack([maps[row] for row in block])):
            detail = str(block[int(one.detail)]) if one.kind == "exchanged" else one.detail
            found.append(Displacement(block[one.row], one.kind, detail))
    return found


def find_in_block(pictures: Energy, maps: Energy) -> list[Displacement]:
    """The same for rows that are all compared with each other, (N, 64, 64) each."""
    if (count := len(maps)) < FEWEST:
        return []
    pictures, maps = own_part(pictures), own_part(maps)
    flat = pictures.reshape(count, -1)
    scores = maps.reshape(count, -1) @ flat.T  # (maps, pictures)
    mirrored, upside_down = maps[:, :, ::-1].reshape(count, -1) @ flat.T, maps[:, ::-1].reshape(count, -1) @ flat.T
    shifted, places = best_shifts(pictures, maps)
    found: list[Displacement] = []
    for row in range(count):
        others = np.delete(scores[row], row)
        own, chance, spread = float(scores[row, row]), float(np.median(others)), float(np.std(others)) + 0.02
        if own > chance + OUTLIER * spread and own > 0.5:
            continue
        needed = max(own + GAIN, LEAST)
        candidates: list[tuple[float, str, str]] = []
        for kind, turned in (("mirrored", mirrored), ("upside down", upside_down)):
            around = np.delete(turned[row], row)
            if turned[row, row] > max(needed, np.median(around) + OUTLIER * (np.std(around) + 0.02)):
                candidates.append((float(turned[row, row]), kind, ""))
        best = int(np.where(np.arange(count) == row, -1, scores[row]).argmax())
        rest = np.delete(scores[row], [row, best])
        is_twin = float(flat[row] @ flat[best]) > TWINS
        if not is_twin and scores[row, best] > max(needed, np.median(rest) + OUTLIER * (np.std(rest) + 0.02)):
            candidates.append((float(scores[row, best]), "exchanged", str(best)))
        if shifted[row] > max(needed, chance + OUTLIER * spread + GAIN):
            down, right = places[row]
            candidates.append(
                (float(shifted[row]) - GAIN / 2, "shifted", f"{right:+.0%} of the width, {down:+.0%} of the height")
            )
        if candidates:
            _, kind, detail = max(candidates)
            found.append(Displacement(row, kind, detail))
    return found


def own_part(energies: Energy) -> Energy:
    """What sets each row apart from the mean of all, of length 1: horizons and borders that all share prove nothing."""
    apart = energies - energies.mean(axis=0)
    length = np.sqrt((apart**2).sum(axis=(1, 2), keepdims=True))
    return (apart / np.maximum(length, 1e-3)).astype(np.float32)


def best_shifts(pictures: Energy, maps: Energy) -> tuple[NDArray[np.float32], list[tuple[float, float]]]:
    """For each map its best correlation when shifted by 5 % to a third of a side, and by how much (down, right) it is shifted.

    The correlation is circular; what wraps around costs a shifted map some of its score, and can only hide it.
    """
    spectra = np.fft.rfft2(maps) * np.conj(np.fft.rfft2(pictures))
    surface = np.fft.irfft2(spectra, s=(SIDE, SIDE)).astype(np.float32)  # (N, down, right)
    offset = (np.arange(SIDE) + SIDE // 2) % SIDE - SIDE // 2
    far = np.maximum(np.abs(offset)[:, None], np.abs(offset)[None, :])
    surface[:, (far < NEAREST_SHIFT) | (far > FARTHEST_SHIFT)] = -1
    flat = surface.reshape(len(maps), -1)
    peaks = flat.argmax(axis=1)
    return flat.max(axis=1), [(float(offset[p // SIDE]) / SIDE, float(offset[p % SIDE]) / SIDE) for p in peaks]


def tell_displaced(found: Sequence[Displacement], names: Sequence[str], condition: str) -> list[Message]:
    """One message for each kind, with a count and the first name.

    Args:
        found: displaced maps.
        names: of the rows.
        condition: of the maps.
    """
    messages: list[Message] = []
    for kind in dict.fromkeys(one.kind for one in found):
        of_kind = [one for one in found if one.kind == kind]
        first = of_kind[0]
        about = names[first.row]
        if kind == "exchanged":
            told = f"fit another picture better than their own (first: the map of {about!r} fits {names[int(first.detail)]!r})"
        elif kind == "shifted":
            told = f"look shifted against their pictures (first: {about!r}, by {first.detail})"
        else:
            told = f"look {kind} against their pictures (first: {about!r})"
        messages.append(Message(f"{len(of_kind)} {condition} maps {told}", f"map.{kind.replace(' ', '-')}"))
    return messages
