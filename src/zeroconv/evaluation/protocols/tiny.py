"""The protocol of the tiny world: everything that it needs is embedded, and the truth is exact."""

from zeroconv.evaluation.protocols.protocol import ConditionProtocol, FeatureSet, Protocol, Source

__all__ = ["TINY"]

MEASURES = {
    "canny": "edge F1", "soft-edge": "edge SSIM", "scribble": "stroke F2", "lineart": "line agreement",
    "depth": "depth delta1", "normal": "normals met (1 - mean angle / 90°)",
    "segmentation": "mean IoU", "pose": "joints met (PCK@0.05)",
}  # fmt: skip
ANNOTATED = ("depth", "normal", "segmentation", "pose")

TINY = Protocol(
    name="tiny",
    about="The tables of docs/results/tiny.md: 200 held-out scenes of the tiny world, whose maps are exact.",
    data="world:200@900000000",
    pairs="200 scenes with the seeds 900,000,000 to 900,000,199, which no training has seen",
    size=(128, 128),
    resize="crop",
    sampler="dpm++2m",
    steps=12,
    guidance=4.0,
    pictures=200,
    conditions=tuple(
        ConditionProtocol(
            condition=name,
            judge={"method": "tiny"} if name in ANNOTATED else {},
            measure=measure,
            source_judge="the embedded annotator" if name in ANNOTATED else "the condition's own extractor",
        )
        for name, measure in MEASURES.items()
    ),
    features=(
        FeatureSet(
            kind="clip",
            weights="tiny-clip",
            network="clip-96x4-patch16-128",
            metrics=("CMMD", "Fréchet distance", "CLIP score"),
        ),
    ),
    prompt_check=True,
    reference="world:400@930000000",
    references="400 other scenes, with the seeds 930,000,000 to 930,000,399",
    sources=(Source("The tiny base and its ControlNets, of this project", "docs/results/tiny.md"),),
)
"""See `docs/protocols.md`."""
