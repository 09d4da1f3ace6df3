"""A training pair: a picture, its caption, and the condition maps that come with it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

from PIL import Image

from zeroconv import conditions
from zeroconv.conditions import Condition
from zeroconv.conditions.parameters import with_defaults
from zeroconv.conditions.raster.side_by_side import join_maps
from zeroconv.errors import InputError
from zeroconv.images import open_map
from zeroconv.picture_files import PictureFile

__all__ = ["Pair", "Pairs", "Subset", "get_map", "get_maps", "open_condition_map"]

NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Pair:
    """One sample.

    Attributes:
        name: unique in its data set.
        image: the picture, RGB.
        caption: the prompt that describes it, possibly empty.
        maps: ready condition maps by condition name; a condition without one is extracted in each epoch.
        captions: all its captions where it has several, of which `caption` is one; each visit sees another.
    """

    name: str
    image: Image.Image
    caption: str
    maps: Mapping[str, Image.Image] = field(default_factory=dict[str, Image.Image])
    captions: tuple[str, ...] = ()

    @property
    def caption_index(self) -> int:
        """Which of its captions it bears."""
        return self.captions.index(self.caption) if self.caption in self.captions else 0


class Pairs(Protocol):
    """A data set with random access.

    Attributes:
        names: of its pairs.
        max_captions: how many captions one pair has at most.
    """

    names: Sequence[str]
    max_captions: int

    def __len__(self) -> int:
        """How many pairs there are."""
        ...

    def __getitem__(self, index: int) -> Pair:
        """Pair `index`."""
        ...


class Subset:
    """Some pairs of a data set.

    Args:
        pairs: the data set.
        indices: which of them.
    """

    def __init__(self, pairs: Pairs, indices: Sequence[int]) -> None:
        self.pairs, self.indices = pairs, list(indices)
        self.names: Sequence[str] = [pairs.names[i] for i in self.indices]
        self.max_captions = pairs.max_captions

    def __len__(self) -> int:
        """How many pairs there are."""
        return len(self.indices)

    def __getitem__(self, index: int) -> Pair:
        """Pair `index` of the subset."""
        return self.pairs[self.indices[index]]

    def __iter__(self) -> Iterator[Pair]:
        """Every pair, in order."""
        return (self[i] for i in range(len(self)))


def open_condition_map(path: PictureFile, condition: str) -> Image.Image:
    """A map from a file or a part of one, as its condition reads it; RGB if the condition is not known.

    Raises:
        FileNotFoundError: when it is not there.
        InputError: when it cannot be read, or an inpainting map has no hole.
    """
    known = conditions.find(condition)
    return known.open_map(path) if known else open_map(path)


def get_map(pair: Pair, condition: str, parameters: Mapping[str, Any], asked: Mapping[str, Any] = NOTHING) -> Image.Image:
    """The map of a pair: its own if it has one, else extracted from its picture with `parameters`; see `get_maps`.

    Raises:
        InputError: when it has none and the condition cannot be extracted from any picture, naming the pair.
    """
    return get_maps([pair], condition, [parameters], asked)[0]


def get_maps(
    pairs: Sequence[Pair], condition: str, parameters: Sequence[Mapping[str, Any]], asked: Mapping[str, Any] = NOTHING
) -> list[Image.Image]:
    """The maps of pairs: their own, else extracted from their pictures, which a network sees together.

    Of several conditions in one control a map holds theirs side by side, some of them ready and some extracted.

    Args:
        pairs: the pairs.
        condition: which maps.
        parameters: of the extractor, for each pair.
        asked: parameters that somebody asked for: where there are any of a condition, its maps are extracted, and those that
            the pairs have are left aside.

    Raises:
        InputError: when one has none and the condition cannot be extracted from any picture, naming the pair.
    """
    known = conditions.get(condition)
    for given in parameters if known.parts else ():
        with_defaults(known, given)
    maps: list[list[Image.Image]] = []
    for part in known.each:
        option = f"`--set extract.{known.key(part, 'method')}=…`"
        given = [known.of_part(part, one) for one in parameters]
        maps.append(get_own_maps(pairs, part, given, ready=not known.of_part(part, asked), option=option))
    return [join_maps(of_pair) for of_pair in zip(*maps, strict=True)]


def get_own_maps(
    pairs: Sequence[Pair], known: Condition, parameters: Sequence[Mapping[str, Any]], ready: bool, option: str
) -> list[Image.Image]:
    """The same of one condition.

    Args:
        pairs: the pairs.
        known: the condition.
        parameters: of its extractor, for each pair.
        ready: False leaves aside the maps that the pairs have.
        option: how another method is named.
    """
    made = {i: pair.maps[known.name] for i, pair in enumerate(pairs) if ready and known.name in pair.maps}
    wanted = [i for i in range(len(pairs)) if i not in made]
    for i in wanted:
        if warning := known.domain_warning(parameters[i], option):
            raise InputError(f"pair {pairs[i].name!r} has no {known.name} map: add the maps, as {warning}", field="data.source")
    found = conditions.extract_all(known.name, [pairs[i].image for i in wanted], [parameters[i] for i in wanted])
    made |= zip(wanted, found, strict=True)
    return [made[i] for i in range(len(pairs))]
