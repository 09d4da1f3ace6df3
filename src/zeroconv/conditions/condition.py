"""What a condition is: the contract of its map, how it is extracted, how fidelity to it is measured."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from PIL import Image, ImageOps

from zeroconv.conditions.map_checks import check_sizes
from zeroconv.conditions.networks.weights import Weights
from zeroconv.conditions.raster.resizing import LINEAR, Resizing
from zeroconv.conditions.raster.side_by_side import split_map
from zeroconv.errors import InputError, NothingAskedError
from zeroconv.images import PictureSource, decode, open_map, open_with_mask, to_masked_tensor, to_tensor
from zeroconv.messages import Message

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["GREY", "BatchedExtractor", "Condition", "Contract", "RenderedScene", "reextract_and_score"]

Extract = Callable[..., Image.Image]
Predict = Callable[..., Sequence[Any]]
Score = Callable[..., float | Mapping[str, float]]
DrawParameters = Callable[..., Mapping[str, Any]]
GREY = "red = green = blue"
LAST = 1000  # in lists: behind the conditions of this folder, which are counted from 1


@dataclass(frozen=True, kw_only=True)
class Contract:
    """What a map must look like; it always has the size of its picture.

    Attributes:
        summary: one sentence, which is also the contract as text.
        mode: Pillow's. An RGBA map is a picture with a hole where it is transparent; the network reads -1 there.
        values: of a channel.
        polarity: what is bright, where that means something.
        palette: the colours that occur, where they mean something.
        channels: what each of them means.
        suits: published ControlNets that read such maps, as "owner/name" on the hub.
    """

    summary: str
    mode: Literal["RGB", "RGBA"] = "RGB"
    values: Literal["0 or 255", "0 … 255"] = "0 … 255"
    polarity: str = ""
    palette: str = ""
    channels: str = "red, green, blue"
    suits: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The summary."""
        return self.summary


@dataclass(frozen=True)
class BatchedExtractor:
    """An extractor in two steps, so that a network sees many pictures in one batch.

    Each step takes, by name, those of the extractor's parameters that it needs.

    Attributes:
        predict: `predict(images, …)`: a prediction for each picture, such as depth (H, W).
        render: `render(image, prediction, …)`: the map of one picture.
    """

    predict: Predict
    render: Extract


class RenderedScene(Protocol):
    """A rendered picture with its exact geometry, such as `zeroconv.world.Picture`; S is its side in pixels."""

    @property
    def rgb(self) -> np.ndarray:
        """The picture: (S, S, 3) uint8."""
        ...

    @property
    def distance(self) -> np.ndarray:
        """Depth along the viewing axis in metres: (S, S) float32, infinity in the sky."""
        ...

    @property
    def normals(self) -> np.ndarray:
        """Unit vectors: (S, S, 3) float32, x right, y up, z away from the camera; 0 in the sky and on mountains."""
        ...

    @property
    def classes(self) -> np.ndarray:
        """ADE20K classes: (S, S) uint8, counted from 0."""
        ...

    @property
    def keypoints(self) -> np.ndarray | None:
        """OpenPose joints: (18, 3), x and y in pixels and whether they are visible; None without a person."""
        ...


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One kind of condition (section 4 of the paper): everything about it in one value.

    Attributes:
        name: as users write it.
        order: place in lists; of equal ones the names decide.
        aliases: other names that users may write.
        summary: half a line for help texts.
        contract: what a map must look like.
        extract: `extract(image, **parameters)` gives the map of a picture, of the same size. One that has a parameter
            `resolution` (pixels of the shorter side, None for its own choice) chooses itself at which size to look.
        score: `score(generated, condition, **reextract)`: how well a generated picture obeys its map. Either one number,
            the fidelity, in [0, 1], higher obeys better; or several by name, among them `metric`, which is the fidelity.
            The condition of the generated picture is extracted again; parameters that `score` shares with `extract`,
            such as `method`, say how.
        metric: the name of the fidelity.
        draw_parameters: extractor parameters for one training sample: `draw_parameters(generator, …)`, with those
            given parameters that it names, on which its draws depend, and `size` (of the picture) if it names that.
        check: `check(condition)` lists what looks wrong about a map.
        resizing: how maps are brought to another size.
        mirror: the map of the mirrored picture: left and right exchanged, and what says left or right in its colours.
        asks_nothing: codes of `check` after which a score would mean nothing.
        refuses: codes of `check` of what is no map of this condition at all, so that a score is an error.
        general_purpose: whether the extractor's defaults serve any picture; False where the default method is the
            embedded annotator, which knows the tiny world alone: training asks for ready maps or a method there.
        needs_mask: whether only the user knows the map (the hole to fill), so that a picture alone does not give one.
        batched: `extract` in two steps, where it has a network.
        ground_truth: `ground_truth(scene)` draws the exact map of a rendered scene; None where the renderer does not
            know it better than `extract`.
        weights: published weights of the extractor's learned methods.
        draw_document: `draw_document(path, size)` draws the map that a JSON document describes.
        parts: of several in one control (`several.combine`) each in order; its map holds theirs side by side, its parameters
            are theirs, called as "depth.method".
    """

    name: str
    summary: str
    contract: Contract
    extract: Extract
    score: Score
    metric: str
    order: int = LAST
    aliases: tuple[str, ...] = ()
    draw_parameters: DrawParameters | None = None
    check: Callable[[Image.Image], list[Message]] = lambda _: []
    resizing: Resizing = LINEAR
    mirror: Callable[[Image.Image], Image.Image] = ImageOps.mirror
    asks_nothing: tuple[str, ...] = ("map.empty", "map.no-hole")
    refuses: tuple[str, ...] = ("map.no-lines",)
    general_purpose: bool = True
    needs_mask: bool = False
    batched: BatchedExtractor | None = None
    ground_truth: Callable[[RenderedScene], Image.Image] | None = None
    weights: tuple[Weights, ...] = ()
    draw_document: Callable[[Path, tuple[int, int] | None], Image.Image] | None = None
    parts: "tuple[Condition, ...]" = ()

    @property
    def each(self) -> "tuple[Condition, ...]":
        """The conditions that it is made of: itself, or its parts."""
        return self.parts or (self,)

    def split(self, condition: Image.Image) -> "list[tuple[Condition, Image.Image]]":
        """Each of its conditions with its own map.

        Raises:
            ValueError: when the maps do not stand side by side.
        """
        if not self.parts:
            return [(self, condition)]
        maps = split_map(condition, len(self.parts))
        return [(part, one.convert(part.contract.mode)) for part, one in zip(self.parts, maps, strict=True)]

    def picture_size(self, condition: Image.Image) -> tuple[int, int]:
        """Width and height of the picture that a map belongs to."""
        return condition.width // len(self.each), condition.height

    def key(self, part: "Condition", parameter: str) -> str:
        """What a parameter of one of its conditions is called: "low", or of several "canny.low"."""
        return f"{part.name}.{parameter}" if self.parts else parameter

    def of_part(self, part: "Condition", parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters of one of its conditions, by that one's own names."""
        start = self.key(part, "")
        return {name.removeprefix(start): value for name, value in parameters.items() if name.startswith(start)}

    def fidelity(self, generated: Image.Image, condition: Image.Image, **reextract: Any) -> float:
        """How well a generated picture obeys its map, in [0, 1]; higher obeys better.

        Args:
            generated: the picture.
            condition: the map it was given, of the same size.
            **reextract: parameters of `score`: how the picture's own condition is extracted.

        Raises:
            NothingAskedError: for a map that asks for nothing, such as a black one of edges: it has no score.
            InputError: for what is no map of this condition, such as a photograph in place of one of edges.
            ValueError: when sizes differ, or as `extract`.
            FileNotFoundError: as `extract`.
        """
        return self.metrics(generated, condition, **reextract)[self.metric]

    def metrics(self, generated: Image.Image, condition: Image.Image, **reextract: Any) -> dict[str, float]:
        """All that `score` measures, by name, the fidelity first; arguments and errors as `fidelity`."""
        for message in () if self.parts else self.check(condition):  # the score of several has theirs
            if message.code in self.asks_nothing:
                raise NothingAskedError(f"{self.name}: {message}", field="condition")
            if message.code in self.refuses:
                raise InputError(f"{self.name}: {message}; {self.contract}", field="condition")
        found = self.score(generated, condition, **reextract)
        if not isinstance(found, Mapping):
            return {self.metric: found}
        return {self.metric: found[self.metric], **found}

    def nothing_asked(self, condition: Image.Image) -> Message | None:
        """Why a map, or one of several, asks for nothing, so that no picture has a score by it; None when it does not."""
        for part, one in self.split(condition):
            if found := next((message for message in part.check(one) if message.code in part.asks_nothing), None):
                return found
        return None

    def domain_warning(self, parameters: Mapping[str, Any], option: str) -> str | None:
        """A sentence for users when the embedded annotator would see pictures that need not be of the tiny world.

        Args:
            parameters: of `extract` or `score`, as they were given.
            option: how another method is named, such as "--set method=…".

        Returns:
            The sentence; None when a method was named, or the default method serves any picture.
        """
        if self.parts:
            named = [(part, option.replace("method=", f"{part.name}.method=")) for part in self.parts]
            said = (part.domain_warning(self.of_part(part, parameters), words) for part, words in named)
            return next((sentence for sentence in said if sentence), None)
        if self.general_purpose or "method" in parameters:
            return None
        return (
            f"{self.name} is read by the embedded annotator, which knows the tiny world alone: for other pictures name "
            f"another {option} (`zeroconv extract {self.name} --list` shows them)"
        )

    def open_map(self, path: PictureSource, size: tuple[int, int] | None = None) -> Image.Image:
        """A map from a file, in the contract's mode.

        Args:
            path: of a picture, which may be a part of another file, or of a `.json` document where the condition has one
                (OpenPose's).
            size: width and height at which a document is drawn; its own if left out. A picture keeps its own.

        Raises:
            FileNotFoundError: when it is not there.
            ValueError: when it cannot be read, or an RGBA map has no hole.
        """
        if self.draw_document is not None and isinstance(path, str | Path) and str(path).lower().endswith(".json"):
            return self.draw_document(Path(path), size)
        if self.parts:
            return decode(path).convert(self.contract.mode)
        return open_with_mask(path) if self.contract.mode == "RGBA" else open_map(path)

    def to_tensor(self, condition: Image.Image) -> "Tensor":
        """A map as a network reads it: (3, H, W) in [0, 1], and -1 where an RGBA map is transparent; of n maps (3 n, H, W).

        Raises:
            ValueError: when the contract is RGBA and the map has no transparency.
        """
        if self.parts:
            import torch

            return torch.cat([part.to_tensor(one) for part, one in self.split(condition)])
        return to_masked_tensor(condition) if self.contract.mode == "RGBA" else to_tensor(condition)


def reextract_and_score(
    predict: Predict,
    score: Callable[[Any, Image.Image], Mapping[str, float]],
    image: Image.Image,
    condition: Image.Image,
    **reextract: Any,
) -> Mapping[str, float]:
    """Metrics of a generated picture whose condition is extracted again by a network.

    Args:
        predict: as in `BatchedExtractor`.
        score: `score(prediction, condition)`.
        image: the generated picture.
        condition: the map it was given, of the same size.
        **reextract: what `predict` takes.

    Raises:
        ValueError: when sizes differ, or as `predict`.
        FileNotFoundError: as `predict`.
    """
    check_sizes(image, condition)
    (prediction,) = predict([image], **reextract)
    return score(prediction, condition)
