"""What is seen of a pair whose picture is cut to a bucket: which parts there are, and whether it may be mirrored."""

import re
from dataclasses import replace

import torch

from zeroconv import conditions
from zeroconv.data.buckets import Size, View
from zeroconv.data.pairs import Pair

__all__ = ["centre", "draw_part", "may_mirror", "show"]

NOT_MIRRORED = re.compile(
    r"\b(left|right|(text|letters?|lettering|words?|writing|written|inscriptions?|signs?|signage|logos?|labels?|says|saying)\b)"
    r"|[\"“”„«»「」]",
    re.IGNORECASE,
)
"""Words of captions that are not true of the mirrored picture, or tell of writing in it, which nobody could read then."""


def may_mirror(caption: str) -> bool:
    """Whether a caption is as true of the mirrored picture."""
    return not NOT_MIRRORED.search(caption)


def draw_part(picture: Size, bucket: Size, crops: int, drawn: torch.Generator) -> View:
    """One of the parts of a picture: its middle where there is one only, else anywhere.

    Args:
        picture: its size in pixels.
        bucket: to which it is cut.
        crops: how many parts there are.
        drawn: where it lies.
    """
    whole = View(picture, bucket, 0, 0)
    if crops == 1:
        return middle(whole)
    left, top = (int(torch.randint(slack + 1, (), generator=drawn)) for slack in whole.slack)
    return replace(whole, left=left, top=top)


def middle(view: View) -> View:
    """The view of the middle."""
    return replace(view, left=view.slack[0] // 2, top=view.slack[1] // 2)


def centre(pair: Pair, bucket: Size) -> Pair:
    """A held-out pair, its middle cut to a bucket."""
    return show(pair, middle(View(pair.image.size, bucket, 0, 0)))


def show(pair: Pair, view: View) -> Pair:
    """A pair as a view shows it: picture and maps alike."""
    seen = {name: view.of_map(image, conditions.get(name)) for name, image in pair.maps.items()}
    return replace(pair, image=view.of_picture(pair.image), maps=seen)
