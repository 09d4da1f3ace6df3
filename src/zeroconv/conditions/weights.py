"""Published weights that a learned extractor may use: where they are, their licence, and how they come to this machine."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["WEIGHTS", "Weights", "find_weights", "methods_of"]

CONFIG, RECIPE = "config.json", "preprocessor_config.json"


@dataclass(frozen=True)
class Weights:
    """Weights on the hub.

    Attributes:
        method: what users write as `method`; "person-detector" is the helper of "vitpose".
        condition: for which condition.
        repository: "owner/name" on the hub.
        revision: the branch, tag or commit that is taken; None takes the main branch.
        licence: of the weights, as far as it is known; otherwise where to read it.
        family: the kind of network that `config.json` must describe (its `model_type`).
        purpose: half a line.
    """

    method: str
    condition: str
    repository: str
    revision: str | None
    licence: str
    family: str
    purpose: str


PERSON_DETECTOR = "person-detector"
WEIGHTS = {
    weights.method: weights
    for weights in (
        Weights(
            "depth-anything", "depth", "depth-anything/Depth-Anything-V2-Small-hf", "5426e4f", "Apache-2.0",
            "depth_anything", "relative depth, Depth Anything V2 Small (L. Yang et al., 2024)",
        ),
        Weights(
            "dpt", "depth", "Intel/dpt-large", None, "Apache-2.0",
            "dpt", "relative depth, MiDaS 3.0 (R. Ranftl et al., 2021)",
        ),
        Weights(
            "segformer", "segmentation", "nvidia/segformer-b0-finetuned-ade-512-512", None,
            "NVIDIA's, not for commercial use",
            "segformer", "ADE20K classes, SegFormer B0 (E. Xie et al., 2021)",
        ),
        Weights(
            "mask2former", "segmentation", "facebook/mask2former-swin-small-ade-semantic", None, "see its page",
            "mask2former", "ADE20K classes, Mask2Former Swin-S (B. Cheng et al., 2022)",
        ),
        Weights(
            "oneformer", "segmentation", "shi-labs/oneformer_ade20k_swin_tiny", None, "MIT",
            "oneformer", "ADE20K classes, OneFormer Swin-T (J. Jain et al., 2023)",
        ),
        Weights(
            "vitpose", "pose", "usyd-community/vitpose-base-simple", None, "Apache-2.0",
            "vitpose", "17 COCO joints, ViTPose-B (Y. Xu et al., 2022)",
        ),
        Weights(
            PERSON_DETECTOR, "pose", "PekingU/rtdetr_r50vd_coco_o365", None, "Apache-2.0",
            "rt_detr", "people in boxes, RT-DETR R50 (Y. Zhao et al., 2024)",
        ),
    )
}  # fmt: skip
"""All of them by method."""


@cache
def methods_of(condition: str) -> tuple[str, ...]:
    """The learned methods of a condition, beside those without published weights."""
    return tuple(key for key, weights in WEIGHTS.items() if weights.condition == condition and key != PERSON_DETECTOR)


def find_weights(method: str, weights: str | Path | None = None, cache_folder: Path | None = None) -> Path:
    """The folder with `config.json` and safetensors weights for a method.

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
        if not (Path(weights) / CONFIG).is_file():
            raise FileNotFoundError(f"{weights} has no {CONFIG}; expected a folder with {CONFIG} and model.safetensors")
        return Path(weights)
    name = f"{known.repository}@{known.revision}" if known.revision else known.repository
    licence = f" (licence: {known.licence})" if weights is None else ""
    try:
        return from_hub(str(weights or name), cache_folder)
    except (OSError, ValueError) as error:
        raise FileNotFoundError(
            f"{method} needs the weights {str(weights or name)!r}{licence}, which are not on this machine: {error}. "
            "Fetch them once with a network, or give a folder that has them as weights=FOLDER"
        ) from error


def from_hub(hub_id: str, cache_folder: Path | None) -> Path:
    """The folder of a repository on this machine, fetched if it is not complete."""
    from zeroconv.checkpoints.hub import find_here, list_files
    from zeroconv.checkpoints.hub_border import client, is_hub_id, offline, one_line, parse
    from zeroconv.checkpoints.selection import no_weights, whole_or_shards

    if not is_hub_id(hub_id):
        raise FileNotFoundError("it is neither a folder nor owner/name[@revision] on the hub")
    asked = parse(hub_id)
    here = find_here(asked, cache_folder)
    if here is not None and (here / CONFIG).is_file() and whole_or_shards({path.name for path in here.iterdir()}):
        return here
    if offline():
        raise ConnectionError("HF_HUB_OFFLINE is set")
    commit, names = list_files(asked, None)
    files = whole_or_shards(names)
    if not files:
        raise FileNotFoundError(no_weights(names, "network", asked.repository))
    with one_line(asked):
        found = client(None).snapshot_download(
            asked.repository, revision=commit, cache_dir=cache_folder, allow_patterns=[CONFIG, RECIPE, *files]
        )
    return Path(found)
