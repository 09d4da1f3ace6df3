"""A scene: everything the renderer and the caption need, decided but not yet seen."""

from dataclasses import dataclass

from zeroconv.world.captions import Story
from zeroconv.world.geometry.camera import Camera
from zeroconv.world.geometry.light import Light
from zeroconv.world.geometry.vectors import Floats
from zeroconv.world.things.backdrop import Backdrop
from zeroconv.world.things.draw import Draw
from zeroconv.world.things.stage import Stage


@dataclass(frozen=True, eq=False)
class Scene:
    """A scene.

    Attributes:
        camera, light, backdrop: where from, by what light, before what it is seen.
        stage: its solids and their names.
        joints: (18, 3) world coordinates of the person's joints, (N, 18, 3) of several people, or None without a person.
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
