"""What a protocol measures of whole sets: its features and metrics, the prompt check, and IoU over all pictures."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from zeroconv.conditions import Condition, get
from zeroconv.conditions.networks.weights import WEIGHTS, find_weights
from zeroconv.conditions.palettes import PALETTE, UNKNOWN, read_classes
from zeroconv.conditions.segmentation import predict_classes, segmentation_map
from zeroconv.data import open_pairs
from zeroconv.errors import InputError
from zeroconv.evaluation.features.clip import TINY_CLIP, ClipExtractor, open_aesthetic_head
from zeroconv.evaluation.features.extractor import FeatureExtractor
from zeroconv.evaluation.features.inception import open_inception
from zeroconv.evaluation.folders import Measurer, PictureFolder, SetMeasure, Sizes, feature_measurer, measure_prompts
from zeroconv.evaluation.folders import open_extractor as open_any
from zeroconv.evaluation.protocols.following import FollowedProtocol
from zeroconv.evaluation.protocols.protocol import FeatureSet
from zeroconv.images import write_png

__all__ = ["NO_FEATURES", "class_counts", "make_reference", "open_protocol_measurers", "pooled_iou"]

HED_METHOD = "hed"
NO_FEATURES = "none"
"""What `--features` says when features of the protocol that are not here shall be left out."""


def find_judge(judge: Mapping[str, Any]) -> None:
    """Find the weights of who reads maps back, before pictures are made.

    Raises:
        FileNotFoundError: when they are not on this machine, naming them.
        ValueError: when they are another network's.
    """
    method, weights = judge.get("method"), judge.get("weights")
    if method == HED_METHOD:
        from zeroconv.conditions.networks.hed import open_hed

        open_hed(weights, "cpu")
    elif method in WEIGHTS:
        find_weights(method, weights)


def open_protocol_measurers(
    followed: FollowedProtocol,
    given: Sequence[str],
    aesthetic: str | None,
    judge: Mapping[str, Any],
    sizes: Sizes | None = None,
    device: str = "cpu",
) -> list[Measurer]:
    """Everything that a protocol measures of whole sets.

    Args:
        followed: the protocol, which learns of what deviates.
        given: features that somebody names: "inception:FILE" or a CLIP takes the place of the protocol's of its kind, another
            one is measured too; `NO_FEATURES` leaves out what is not named.
        aesthetic: the file of the linear head.
        judge: who reads maps back.
        sizes: how pictures and maps are brought together where they are read back.
        device: such as "cpu" or "cuda".

    Raises:
        InputError: for weights of features that are not here, naming them.
        FileNotFoundError: for those of the judge.
    """
    find_judge(judge)
    protocol, left_out = followed.protocol, NO_FEATURES in given
    others = [one for one in given if one != NO_FEATURES]
    found: list[Measurer] = [measure_prompts] if protocol.prompt_check or TINY_CLIP in others else []
    for features in protocol.features:
        named = next((one for one in others if kind_of(one) == features.kind), None)
        if named is not None:
            others.remove(named)
        elif left_out:
            followed.deviate(f"{features.kind} features", "left out", str(features))
            continue
        extractor = open_features(features, named, device, protocol.name)
        followed.deviate(f"network of {', '.join(features.metrics)}", extractor.name, features.network)
        scored = "aesthetic score" in features.metrics
        if scored and aesthetic is None and not left_out:
            said = f"the protocol {protocol.name!r} has an aesthetic score, and its head {protocol.aesthetic} was not named"
            raise InputError(said, field="aesthetic", hint="--aesthetic FILE.safetensors, or --features none leaves it out")
        if scored and aesthetic is None:
            followed.deviate("aesthetic score", "left out", protocol.aesthetic)
        head = open_aesthetic_head(aesthetic) if aesthetic is not None and isinstance(extractor, ClipExtractor) else None
        measurer = only(feature_measurer(extractor, head), features.metrics)
        found.append(in_groups(measurer) if features.groups else measurer)
    found += [feature_measurer(open_any(one, device)) for one in others]
    if followed.rule.pooled_iou:
        own = Sizes() if sizes is None else Sizes(sizes.size, sizes.mode)  # what it resizes was told already
        found.append(pooled_measurer(get(followed.condition), judge, own))
    return found


def kind_of(name: str) -> str:
    """Which kind of features a name is of."""
    return "inception" if name.partition(":")[0] == "inception" else "clip"


def open_features(features: FeatureSet, named: str | None, device: str, protocol: str) -> FeatureExtractor:
    """The features of a protocol.

    Raises:
        InputError: when their weights are not here, naming them.
    """
    weights = (named.partition(":")[2] if features.kind == "inception" else named) if named else features.weights
    try:
        if features.kind == "inception":
            return open_inception(weights or None, resizer=features.resizer, device=device)
        return open_any(weights or "", device)
    except FileNotFoundError as error:
        asked = weights or features.file
        how = "inception:FILE.safetensors" if features.kind == "inception" else "FOLDER"
        said = f"the protocol {protocol!r} measures {', '.join(features.metrics)} on {asked}, which is not on this machine"
        hint = f"name it with --features {how}, or leave it out with --features {NO_FEATURES}"
        raise InputError(said, field="features", hint=hint) from error


def only(measurer: Measurer, names: Sequence[str]) -> Measurer:
    """Some of what a measurer measures."""
    return lambda pictures, reference: [one for one in measurer(pictures, reference) if one.name in names]


def in_groups(measurer: Measurer) -> Measurer:
    """The mean over groups: of the first picture of each map, of the second, and on."""

    def measure(pictures: PictureFolder, reference: PictureFolder | None) -> list[SetMeasure]:
        groups = split_by_map(pictures)
        if len(groups) == 1:
            return list(measurer(pictures, reference))
        parts = [{one.name: one for one in measurer(pictures.select(stems), reference)} for stems in groups]
        shared = [name for name in parts[0] if all(name in part for part in parts)]
        return [mean_of([part[name] for part in parts]) for name in shared]

    return measure


def split_by_map(pictures: PictureFolder) -> list[list[str]]:
    """The stems of the first picture of each map, of the second, and on; equal bytes are one map."""
    seen: dict[bytes, int] = {}
    groups: list[list[str]] = []
    for stem, entry in pictures.entries.items():
        key = hashlib.sha256(entry.map.read_bytes()).digest() if entry.map is not None else stem.encode()
        place = seen[key] = seen.get(key, -1) + 1
        if place == len(groups):
            groups.append([])
        groups[place].append(stem)
    return groups


def mean_of(rows: Sequence[SetMeasure]) -> SetMeasure:
    """The mean of one number over groups, without an interval."""
    values = [row.value for row in rows]
    procedure = {**rows[0].procedure, "mean of groups": [round(value, 6) for value in values]}
    return replace(rows[0], value=float(np.mean(values)), low=None, high=None, procedure=procedure)


def class_counts(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Pixels in the intersection and in the union of each class: (2, 150) int64.

    Args:
        found: (H, W) class of each pixel.
        wanted: (H, W) class of each pixel; those of no class do not count.
    """
    known, classes = wanted != UNKNOWN, len(PALETTE)
    found, wanted = found[known], wanted[known]
    both = np.bincount(wanted[found == wanted], minlength=classes)[:classes]
    sizes = [np.bincount(one[one < classes], minlength=classes)[:classes] for one in (found, wanted)]
    return np.stack([both, sizes[0] + sizes[1] - both]).astype(np.int64)


def pooled_iou(counts: np.ndarray) -> float:
    """Mean of `Σ|A ∩ B| / Σ|A ∪ B|` over the classes, summed over all pictures: [0, 1]; what is nowhere does not count.

    Args:
        counts: the sum of `class_counts`.
    """
    both, either = counts
    there = either > 0
    return float((both[there] / either[there]).mean()) if there.any() else 1.0


def pooled_measurer(known: Condition, judge: Mapping[str, Any], sizes: Sizes) -> Measurer:
    """IoU over all pictures, which are segmented for it once more."""

    def measure(pictures: PictureFolder, reference: PictureFolder | None) -> list[SetMeasure]:
        del reference
        counts = np.zeros((2, len(PALETTE)), np.int64)
        for stem, entry in pictures.entries.items():
            assert entry.map is not None, "measured sets know their maps"
            picture = pictures.open_picture(stem)
            picture = sizes.fit_picture(picture, "pictures", sizes.size or picture.size)
            image = sizes.fit_map(known.open_map(entry.map, picture.size), known, picture.size)
            classes = read_classes(segmentation_map(predict_classes([picture], **judge)[0]))
            counts += class_counts(classes, read_classes(image))
        procedure = {"metric": "pooled mIoU", "judge": dict(judge), "counts": {"found": len(pictures.files)}}
        return [SetMeasure("pooled mIoU", pooled_iou(counts), procedure=procedure)]

    return measure


def make_reference(followed: FollowedProtocol, given: Path | None, folder: Path) -> Path | None:
    """The pictures that sets are compared with.

    Args:
        followed: the protocol.
        given: those that somebody names.
        folder: where scenes of the tiny world are rendered to, if the protocol asks for them; those that are there stay.

    Returns:
        Their folder; None for the true pictures.

    Raises:
        OSError: when a picture cannot be written.
    """
    there = followed.protocol.reference
    if given is not None:
        if there:
            followed.deviate("references", str(given), there)
        elif followed.protocol.references:
            followed.unchecked.append(f"that {given} holds {followed.protocol.references}")
        return given
    if not there:
        return None
    pairs = open_pairs(there, followed.condition)
    for row, name in enumerate(pairs.names):
        file = folder / f"{name}.png"
        if not file.is_file():
            write_png(pairs[row].image, file)
    return folder
