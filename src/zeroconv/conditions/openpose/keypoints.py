"""What is known of the people of a picture: the joints of bodies, and of hands and faces where a network marks them."""

from dataclasses import dataclass
from typing import Self

import numpy as np

__all__ = ["BODY", "FACE", "HAND", "People"]

BODY, HAND, FACE = 18, 21, 70


@dataclass(frozen=True, eq=False)
class People:
    """Keypoints of N people: x and y in pixels and confidence, which is 0 where a point is hidden or not known.

    Attributes:
        body: (N, 18, 3), in OpenPose's order, `zeroconv.conditions.openpose.drawing.JOINTS`.
        hands: (N, 2, 21, 3), left and right: the wrist, then thumb to little finger, each from its root to its tip.
            None where the network marks no hands.
        face: (N, 70, 3), iBUG's 68 points and the right and the left pupil. None where the network marks none.
    """

    body: np.ndarray
    hands: np.ndarray | None = None
    face: np.ndarray | None = None

    @classmethod
    def of(cls, people: "Self | np.ndarray") -> Self:
        """Bodies alone, (18, 3) or (N, 18, 3), as people; people as they are."""
        return people if isinstance(people, cls) else cls(np.asarray(people).reshape(-1, BODY, 3))

    def drop_uncertain(self, threshold: float) -> Self:
        """The same people without the points that are less sure than this."""

        def sure(part: np.ndarray) -> np.ndarray:
            return np.where(part[..., 2:] < threshold, 0, part)

        hands, face = (None if part is None else sure(part) for part in (self.hands, self.face))
        return type(self)(sure(self.body), hands, face)
