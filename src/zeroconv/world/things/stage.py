"""Where the things of a scene stand."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from zeroconv.world.geometry.primitive import Primitive


@dataclass(frozen=True, eq=False)
class Stage:
    """The solids that are put up one after another, each under the name of its thing.

    Attributes:
        names: of the solids' things.
        counts: solids of each thing; several things may have one name.
    """

    solids: list[Primitive] = field(default_factory=list[Primitive])
    names: list[str] = field(default_factory=list[str])
    counts: list[int] = field(default_factory=list[int])

    def add(self, name: str, solids: Sequence[Primitive]) -> None:
        """Put up the solids of the thing `name`."""
        self.solids.extend(solids)
        self.names.extend([name] * len(solids))
        self.counts.append(len(solids))
