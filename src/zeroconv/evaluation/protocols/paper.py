"""Tables 2 and 3 of the paper: segmentation maps read back by OneFormer, and the quality of the pictures."""

from zeroconv.evaluation.protocols.protocol import ConditionProtocol, FeatureSet, Protocol, Source

__all__ = ["CLIP_LARGE", "INCEPTION_FILE", "PAPER"]

INCEPTION_FILE = "pt_inception-2015-12-05-6726825d.pth"
HEAD_FILE = "sa_0_4_vit_l_14_linear.pth"
CLIP_LARGE = "clip-1024x24-patch14-224"
"""OpenAI's ViT-L/14, as `ClipExtractor.name` says it."""

PAPER = Protocol(
    name="paper",
    about="Tables 2 and 3: ADE20K labels reconstructed, FID, CLIP score and aesthetic score of the same pictures.",
    data="",
    pairs="the 2,000 validation pictures of ADE20K with their maps of 150 classes and captions by BLIP",
    size=(512, 512),
    resize="crop",
    sampler="ddim",
    steps=20,
    guidance=9.0,
    pictures=2000,
    conditions=(
        ConditionProtocol(
            condition="segmentation",
            judge={"method": "oneformer"},
            measure="mean IoU",
            source_judge="OneFormer",
            difference="the paper does not name OneFormer's backbone: here it is Swin-T, the smallest its authors published "
            "(`--judge weights=` takes another); the score of the true pictures says what it reads",
        ),
    ),
    features=(
        FeatureSet(
            kind="inception", weights="", network="inception-v3-fid", metrics=("FID",), resizer="clean-fid", file=INCEPTION_FILE
        ),
        FeatureSet(
            kind="clip", weights="openai/clip-vit-large-patch14", network=CLIP_LARGE, metrics=("CLIP score", "aesthetic score")
        ),
    ),
    aesthetic=HEAD_FILE,
    references="the true pictures of the same maps",
    choices=(
        "Resolution: 512 x 512, that of Stable Diffusion 1.5; other shapes are cut.",
        "Sampler, steps and guidance: those of the authors' segmentation demo (DDIM with eta 0, 20 steps, 9.0); its added and "
        "negative prompts are left out.",
        "Prompts: the captions by BLIP that the segmentation model was trained with.",
        "IoU: mean over the classes of a map that cover 0.5 % of it or more, then over the maps. The paper's "
        "0.35 ± 0.14 is a mean with its deviation.",
        "FID: Inception of 2015, clean-fid's resizer, the true pictures of the same maps as reference; with 2,000 pictures it "
        "is biased upwards and the covariance has no full rank, as in the paper if it took as many.",
        "CLIP: ViT-L/14 for both scores; the CLIP score here is 100 times the cosine, the paper's .26 is the cosine.",
        "Pictures of each map: one.",
    ),
    sources=(
        Source(
            "L. Zhang, A. Rao, M. Agrawala, Adding Conditional Control to Text-to-Image Diffusion Models, 2023, section 4.2",
            "https://arxiv.org/abs/2302.05543",
        ),
        Source("J. Jain et al., OneFormer, 2023", "https://arxiv.org/abs/2211.06220"),
        Source(
            "lllyasviel/ControlNet, gradio_seg2image.py: sampler, steps, guidance",
            "https://github.com/lllyasviel/ControlNet/blob/005008b44d9a29725310a19bd173a509fabcdd30/gradio_seg2image.py",
        ),
    ),
)
"""See `docs/protocols.md`."""
