"""Materials: a colour, a second colour, and one of ten textures that mix them."""

from dataclasses import dataclass
from typing import Literal

from zeroconv.world.geometry.palette import RGB, linear
from zeroconv.world.geometry.vectors import Floats

FlatTexture = Literal["checker", "stripes", "bands", "bricks", "planks", "tiles", "mottle"]
SolidTexture = Literal["leaves", "rings", "beach ball"]


@dataclass(frozen=True, eq=False)
class Material:
    """What a surface looks like. Colours are (3,) linear float32.

    Attributes:
        colour: albedo.
        texture: how `colour` and `second` are mixed; None is plain.
        frequency: repeats per metre, roughly.
        second: the other colour; by default the colour at 60 %.
        gloss: strength of highlights and of the sky's reflection at grazing angles, 0 to 1.
        glow: share of light given off rather than reflected, 0 to 1.
        shadow: whether it throws a shadow.
    """

    colour: Floats
    texture: FlatTexture | SolidTexture | None = None
    frequency: float = 1.0
    second: Floats | None = None
    gloss: float = 0.0
    glow: float = 0.0
    shadow: bool = True


def paint(
    rgb: RGB | Floats,
    texture: FlatTexture | SolidTexture | None = None,
    frequency: float = 1.0,
    second: RGB | None = None,
    gloss: float = 0.0,
    glow: float = 0.0,
    shadow: bool = True,
) -> Material:
    """Material from sRGB colours (3,) in [0, 255]."""
    other = None if second is None else linear(second)
    return Material(linear(rgb), texture, frequency, other, gloss, glow, shadow)
