"""A scene: everything the renderer and the caption need, decided but not yet seen."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from zeroconv.world.backdrop import Backdrop
from zeroconv.world.camera import Camera
from zeroconv.world.captions import Story
from zeroconv.world.draw import Draw
from zeroconv.world.geometry import Primitive
from zeroconv.world.light import Light
from zeroconv.world.vectors import Floats


@dataclass(frozen=True, eq=False)
class Stage:
    """The solids that are put up one after another, each under the name of its thing."""

    solids: list[Primitive] = field(default_factory=list[Primitive])
    names: list[str] = field(default_factory=list[str])

    def add(self, name: str, solids: Sequence[Primitive]) -> None:
        """Put up the solids of the thing `name`."""
        self.solids.extend(solids)
        self.names.extend([name] * len(solids))


@dataclass(frozen=True, eq=False)
class Scene:
    """A scene.

    Attributes:
        camera, light, backdrop: where from, by what light, before what it is seen.
        stage: its solids and their names.
        joints: (18, 3) world coordinates of the person's joints, or None without a person.
        story: what the caption may say.
        draw: the random stream, waiting for the caption.
    """

    camera: Camera
    light: Light
    backdrop: Backdrop
    stage: Stage
    joints: Floats | None
    story: Story
    draw: Draw
