"""Published weights that a learned extractor may use: where they are, their licence, and how they come to this machine."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

__all__ = ["WEIGHTS", "Weights", "find_weights", "methods_of", "weights_of"]

CONFIG, RECIPE, PIPELINE = "config.json", "preprocessor_config.json", "model_index.json"
MARIGOLD = "marigold"


@dataclass(frozen=True)
class Weights:
    """Weights on the hub.

    Attributes:
        method: what users write as `method`; "person-detector" is the helper of the others for poses.
        condition: for which condition.
        repository: "owner/name" on the hub.
        revision: the commit that is taken, so that a run can be repeated; or "refs/pr/N", the proposal that brought the
            safetensors.
        licence: of the weights, as far as it is known; otherwise where to read it.
        family: the kind of network that `config.json` must describe (its `model_type`); "marigold" is several networks
            in the layout of diffusers.
        purpose: half a line.
    """

    method: str
    condition: str
    repository: str
    revision: str
    licence: str
    family: str
    purpose: str


PERSON_DETECTOR = "person-detector"
WEIGHTS = {
    weights.method: weights
    for weights in (
        Weights(
            "depth-anything", "depth", "depth-anything/Depth-Anything-V2-Small-hf",
            "5426e4f0f36572d16453bbda7a8389317b1bef99", "Apache-2.0",
            "depth_anything", "relative depth, Depth Anything V2 Small (L. Yang et al., 2024)",
        ),
        Weights(
            "dpt", "depth", "Intel/dpt-large", "bc15f29aa3a80d532f2ed650b5e16ac48d8958f9", "Apache-2.0",
            "dpt", "relative depth, MiDaS 3.0 (R. Ranftl et al., 2021)",
        ),
        Weights(
            "segformer", "segmentation", "nvidia/segformer-b0-finetuned-ade-512-512",
            "489d5cd81a0b59fab9b7ea758d3548ebe99677da", "NVIDIA's, not for commercial use",
            "segformer", "ADE20K classes, SegFormer B0 (E. Xie et al., 2021)",
        ),
        Weights(
            "mask2former", "segmentation", "facebook/mask2former-swin-small-ade-semantic", "refs/pr/2", "see its page",
            "mask2former", "ADE20K classes, Mask2Former Swin-S (B. Cheng et al., 2022)",
        ),
        Weights(
            "oneformer", "segmentation", "shi-labs/oneformer_ade20k_swin_tiny", "refs/pr/6", "MIT",
            "oneformer", "ADE20K classes, OneFormer Swin-T (J. Jain et al., 2023)",
        ),
        Weights(
            "vitpose", "pose", "usyd-community/vitpose-base-simple", "a93ac0c67e0b7e2c55287d21d4c460c8f3c54d45", "Apache-2.0",
            "vitpose", "17 COCO joints, ViTPose-B (Y. Xu et al., 2022)",
        ),
        Weights(
            PERSON_DETECTOR, "pose", "PekingU/rtdetr_r50vd_coco_o365", "457857cec8ac28ddede40ecee9eed2beca321af8", "Apache-2.0",
            "rt_detr", "people in boxes, RT-DETR R50 (Y. Zhao et al., 2024)",
        ),
        Weights(
            "marigold", "normal", "prs-eth/marigold-normals-v1-1", "09cfdd258cb281fa006cf1afcd2284376d16687d",
            "CreativeML Open RAIL++-M", MARIGOLD, "normals of any picture, Marigold 1.1 (B. Ke et al., 2025)",
        ),
    )
} | {
    f"sapiens2-{weights.condition}": weights
    for weights in (
        Weights(
            "sapiens2", "normal", "facebook/sapiens2-normal-0.4b", "52886591372f049acd4d59ae6d0a792ae1a61ac5",
            "Sapiens2 License", "sapiens2", "normals of people, Sapiens2 0.4B (R. Khirodkar et al., 2026)",
        ),
        Weights(
            "sapiens2", "pose", "facebook/sapiens2-pose-0.4b", "73572e121602e8a6eb40eb841732e88f386d250b",
            "Sapiens2 License", "sapiens2",
            "308 points of body, hands and face, Sapiens2 0.4B (R. Khirodkar et al., 2026)",
        ),
    )
}  # fmt: skip
"""All of them by method; by method and condition where two conditions have a method of that name."""


def weights_of(condition: str) -> tuple[Weights, ...]:
    """The published weights that a condition's learned methods may use."""
    return tuple(weights for weights in WEIGHTS.values() if weights.condition == condition)


@cache
def methods_of(condition: str) -> tuple[str, ...]:
    """The learned methods of a condition, beside those without published weights."""
    return tuple(weights.method for weights in weights_of(condition) if weights.method != PERSON_DETECTOR)


def find_weights(method: str, weights: str | Path | None = None, cache_folder: Path | None = None) -> Path:
    """The folder with `config.json` (of Marigold: `model_index.json`) and safetensors weights for a method.

    What is on this machine already is taken without asking the hub; otherwise settings and safetensors alone are
    fetched, no pickle and no code.

    Args:
        method: a key of `WEIGHTS`.
        weights: a folder, or "owner/name[@revision]" on the hub, instead of the weights in the table.
        cache_folder: of the hub's cache; its own if left out.

    Raises:
        ValueError: for a method without published weights.
        FileNotFoundError: when they are not here and cannot be fetched, in one line.
    """
    if method not in WEIGHTS:
        raise ValueError(f"no published weights are known for {method!r}; expected one of {', '.join(WEIGHTS)}")
    known = WEIGHTS[method]
    if weights is not None and Path(weights).is_dir():
        mark = marker_file(known.family)
        if not (Path(weights) / mark).is_file():
            raise FileNotFoundError(f"{weights} has no {mark}; expected a folder with {mark} and safetensors weights")
        return Path(weights)
    from zeroconv.checkpoints.hub.download import download_files  # here, because the hub's client takes half a second

    name = f"{known.repository}@{known.revision}"
    licence = f" (licence: {known.licence})" if weights is None else ""
    try:
        return download_files(
            str(weights or name), partial(select_files, known.family), marker_file(known.family), cache=cache_folder
        )
    except (OSError, ValueError) as error:
        raise FileNotFoundError(
            f"{method} needs the weights {str(weights or name)!r}{licence}, which are not on this machine: {error}. "
            "Fetch them once with a network, or give a folder that has them as weights=FOLDER"
        ) from error


def marker_file(family: str) -> str:
    """The file that a folder with a network of a family must have."""
    return PIPELINE if family == MARIGOLD else CONFIG


def select_files(family: str, names: Collection[str]) -> list[str]:
    """Those files of a repository that make a network of a family; [] unless they are all there."""
    from zeroconv.checkpoints.hub.file_selection import choose, whole_or_shards

    if family != MARIGOLD:
        files = whole_or_shards(names)
        return [CONFIG, *({RECIPE} & set(names)), *files] if files and CONFIG in names else []
    try:
        files = choose(names, "base", "")
    except ValueError:
        return []
    return files if PIPELINE in files else []
