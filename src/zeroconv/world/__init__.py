"""The tiny world: small 3-D scenes, rendered with everything that is true about them.

`make(seed)` draws a scene, renders it by tracing rays, and captions what can be seen: unlimited pictures
with exact depth, normals, classes and poses. The published weights are trained on these pictures: the
same seed gives the same picture for ever.
"""

from zeroconv.world.pictures import HELD_OUT_SEED, KINDS, Picture, make, scene
from zeroconv.world.rendering import render
from zeroconv.world.scenes import Scene

__all__ = ["HELD_OUT_SEED", "KINDS", "Picture", "Scene", "make", "render", "scene"]
