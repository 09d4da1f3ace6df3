"""The protocol of ControlNet++, as its code does it, and the same without its faults (Li et al., ECCV 2024)."""

from dataclasses import replace

from zeroconv.evaluation.protocols import measures
from zeroconv.evaluation.protocols.paper import INCEPTION_FILE
from zeroconv.evaluation.protocols.protocol import ConditionProtocol, Fault, FeatureSet, Protocol, Source

__all__ = ["CONTROLNET_PLUS_PLUS", "CORRECTED"]

CODE = "https://github.com/liming-ai/ControlNet_Plus_Plus/blob/9ffe2645059c548a107875859d23230588d7142b/eval"
NAME, NAME_CORRECTED = "controlnet++", "controlnet++-corrected"

CANNY = ConditionProtocol(
    condition="canny",
    judge={"tolerance": 0},
    measure="edge F1",
    source_judge="Canny of kornia with 0.1 and 0.2, F1 of pixels without tolerance over the four pictures of a map",
    difference="edges are read by OpenCV's Canny with 100 and 200, which are others than kornia's: make the maps with "
    "`zeroconv extract canny`; each picture has its own F1",
)
SOFT_EDGE = ConditionProtocol(
    condition="soft-edge",
    judge={"method": "hed", "fusion": "mean"},
    measure=measures.MS_SSIM,
    source_judge="ControlNetHED",
    difference="none is known: the same network, if ZEROCONV_HED or `--judge weights=` names its weights",
    score=measures.score_edges,
)
LINEART = ConditionProtocol(
    condition="lineart",
    judge={},
    measure=measures.MS_SSIM,
    source_judge="the network of awacke1/Image-to-Line-Drawings",
    difference="lines are drawn by `lineart`, which needs no network: make the maps with it; figures are of another kind than "
    "the published ones",
    score=measures.score_lines_as_published,
)
DEPTH = ConditionProtocol(
    condition="depth",
    judge={"method": "dpt"},
    measure=measures.DEPTH_MEASURE,
    source_judge="DPT-large, RMSE in levels of 255",
    difference="the same network; its answer is enlarged in floating point and bicubically, not as bytes and bilinearly; the "
    "fidelity is 1 - RMSE / 255, so that higher is better, with the RMSE beside it",
    score=measures.score_depth_as_published,
)
SEGMENTATION = ConditionProtocol(
    condition="segmentation",
    judge={"method": "mask2former"},
    measure="mean IoU",
    source_judge="Mask2Former Swin-L of mmseg for ADE20K, DeepLabv3 R101 for COCO-Stuff, mIoU over all pictures",
    difference="Mask2Former is the smaller Swin-S (`--judge weights=` takes another); COCO-Stuff is not judged; "
    "`mean IoU` is per picture, with an interval, and `pooled mIoU` over all, as in the source",
    pooled_iou=True,
)

PER_PROCESS = Fault(
    "One seed (42) a process and no generator: pictures depend on the number of GPUs, and on where a run was interrupted.",
    "Not reproduced: pair i has the seed 42 + i, whoever makes it.",
)
NAMED_SSIM = Fault(
    "What is reported as SSIM of HED and lineart is MS-SSIM, which is another number.",
    "Called MS-SSIM; SSIM stands beside it.",
)
CANNY_CV2 = Fault(
    "The task canny_cv2 scores the first picture of each map four times, under names that are not read afterwards.",
    "Not reproduced: every picture is scored.",
)
JPEG = Fault(
    "The mIoU of the first version of the article was of maps kept as JPEG.",
    "Maps whose colours are of no class are refused.",
)
WRAPS = "Lines are inverted by `1 - x` of bytes, which wraps: the darkest, 0 and 1, become 1 and 0, black in place of white."
DIVIDES = "The depth label is stretched from its least to its greatest value, what was predicted only divided by its greatest."
GROUPS = "FID is the mean of four, each of one picture of every map: less data each, a larger bias than one FID of all."

CONTROLNET_PLUS_PLUS = Protocol(
    name=NAME,
    about="Controllability as the code of ControlNet++ measures it, with its faults where they can be had.",
    data="",
    pairs="the validation pictures of MultiGen-20M_canny_eval (canny, HED, lineart), MultiGen-20M_depth_eval and "
    "Captioned_ADE20K, all by limingcv on the hub",
    size=(512, 512),
    resize="stretch",
    sampler="unipc",
    steps=20,
    guidance=7.5,
    negative_prompt="worst quality, low quality",
    seed=42,
    pictures=None,
    pictures_per_map=4,
    conditions=(CANNY, SOFT_EDGE, LINEART, DEPTH, SEGMENTATION),
    features=(
        FeatureSet(
            kind="inception", weights="", network="inception-v3-fid", metrics=("FID",), resizer="clean-fid",
            file=INCEPTION_FILE, groups=True,
        ),
        FeatureSet(
            kind="clip", weights="openai/clip-vit-base-patch16", network="clip-768x12-patch16-224", metrics=("CLIP score",)
        ),
    ),
    references="the true pictures at 512 x 512",
    choices=("Weights and base: Stable Diffusion 1.5 in float16; here whatever --control and --base are.",),
    faults=(
        PER_PROCESS,
        NAMED_SSIM,
        Fault(WRAPS, "Reproduced."),
        CANNY_CV2,
        Fault(DIVIDES, "Reproduced."),
        Fault(GROUPS, "Reproduced where maps have several pictures; with one picture each both are the same."),
        JPEG,
    ),
    sources=(
        Source(
            "M. Li et al., ControlNet++: Improving Conditional Controls with Efficient Consistency Feedback, ECCV 2024",
            "https://arxiv.org/abs/2404.07987",
        ),
        *(Source(f"liming-ai/ControlNet_Plus_Plus, eval/{name}", f"{CODE}/{name}")
          for name in ("eval.py", "eval_edge.py", "eval_depth.py", "eval_fid.py", "eval_clip.py", "eval_ade20k.sh")),
    ),
)  # fmt: skip
"""See `docs/protocols.md`."""

CORRECTED = replace(
    CONTROLNET_PLUS_PLUS,
    name=NAME_CORRECTED,
    about="Controllability as ControlNet++ measures it, without the faults of its code.",
    conditions=(
        CANNY,
        SOFT_EDGE,
        replace(LINEART, score=measures.score_lines),
        replace(DEPTH, score=measures.score_depth),
        SEGMENTATION,
    ),
    features=tuple(replace(one, groups=False) for one in CONTROLNET_PLUS_PLUS.features),
    faults=(
        PER_PROCESS,
        NAMED_SSIM,
        Fault(WRAPS, f"Corrected: 255 - x; {NAME} has it."),
        CANNY_CV2,
        Fault(DIVIDES, f"Corrected: both are stretched; {NAME} has it."),
        Fault(GROUPS, f"Corrected: one FID of all pictures; {NAME} has it."),
        JPEG,
    ),
)
"""See `docs/protocols.md`."""
