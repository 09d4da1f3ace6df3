"""Which files of a repository are fetched: real repositories' lists of files, and the lines for what cannot be opened."""

import pytest

from zeroconv.checkpoints.hub.file_selection import choose, whole_or_shards

NET = "diffusion_pytorch_model"

# As the first Stable Diffusion repositories are: the folder layout beside merged files, three formats, a safety checker.
SD15 = [
    "model_index.json", "README.md", "v1-5-pruned.ckpt", "v1-5-pruned.safetensors", "v1-5-pruned-emaonly.safetensors",
    "feature_extractor/preprocessor_config.json", "scheduler/scheduler_config.json",
    "safety_checker/config.json", "safety_checker/model.safetensors",
    "text_encoder/config.json", "text_encoder/model.safetensors", "text_encoder/model.fp16.safetensors",
    "text_encoder/pytorch_model.bin", "tokenizer/merges.txt", "tokenizer/vocab.json", "tokenizer/tokenizer_config.json",
    "unet/config.json", f"unet/{NET}.bin", f"unet/{NET}.fp16.safetensors", f"unet/{NET}.non_ema.safetensors",
    f"unet/{NET}.safetensors", "unet/model.onnx", "unet/pipeline.py",
    "vae/config.json", f"vae/{NET}.safetensors", "vae/deeper/config.json",
]  # fmt: skip
SD15_WANTED = {
    "model_index.json", "scheduler/scheduler_config.json", "text_encoder/config.json", "text_encoder/model.safetensors",
    "tokenizer/merges.txt", "tokenizer/vocab.json", "tokenizer/tokenizer_config.json",
    "unet/config.json", f"unet/{NET}.safetensors", "vae/config.json", f"vae/{NET}.safetensors",
}  # fmt: skip


def test_a_base_in_folders() -> None:
    chosen = choose(SD15, "base", "o/n")
    assert set(chosen) == SD15_WANTED and len(chosen) == len(SD15_WANTED) and chosen[0] == "model_index.json"
    assert choose(reversed(SD15), "base", "o/n") == chosen


def test_the_second_encoder_of_sdxl_comes_too() -> None:
    second = ["text_encoder_2/config.json", "text_encoder_2/model.safetensors", "tokenizer_2/vocab.json"]
    assert set(choose([*SD15, *second], "base", "o/n")) == SD15_WANTED | set(second)
    with pytest.raises(ValueError, match=r"^o/n has no complete safetensors weights in text_encoder_2/; expected one file"):
        choose([*SD15, "text_encoder_2/config.json"], "base", "o/n")


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_a_base_lacks_a_network(part: str) -> None:
    names = [name for name in SD15 if not (name.startswith(f"{part}/") and name.endswith(".safetensors"))]
    with pytest.raises(ValueError, match=rf"^o/n has no complete safetensors weights in {part}/; expected one file"):
        choose(names, "base", "o/n")


SHARDS = [f"{NET}-0000{i}-of-00003.safetensors" for i in (1, 2, 3)]
INDEX = f"{NET}.safetensors.index.json"


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        ([f"{NET}.safetensors", f"{NET}.fp16.safetensors"], [f"{NET}.safetensors"]),
        ([f"{NET}.bf16.safetensors", f"{NET}.fp16.safetensors"], [f"{NET}.fp16.safetensors"]),
        ([INDEX, *SHARDS, f"{NET}.fp16.safetensors"], [INDEX, *SHARDS]),
        ([INDEX, *SHARDS[:2], f"{NET}.fp16.safetensors"], [f"{NET}.fp16.safetensors"]),
        ([*SHARDS], []),
        ([INDEX, *SHARDS[1:]], []),
        ([f"{NET}.safetensors.index.fp16.json", *(name.replace(NET, f"{NET}.fp16") for name in SHARDS)], "all"),
        (["model.safetensors.index.fp16.json", "model-00001-of-00001.fp16.safetensors"], "all"),
        (["control-lora.safetensors", "config.json"], ["control-lora.safetensors"]),
        ([f"{NET}.non_ema.safetensors", f"{NET}.bin", "other.safetensors"], []),
    ],
)
def test_one_precision_whole_or_in_shards(names: list[str], wanted: list[str] | str) -> None:
    assert whole_or_shards(names) == (names if wanted == "all" else wanted)


def test_a_control_in_the_layout_of_diffusers() -> None:
    names = ["config.json", f"{NET}.safetensors", f"{NET}.fp16.safetensors", f"{NET}.bin", "images/bird.png", "README.md"]
    assert choose(names, "ControlNet", "o/n") == ["config.json", f"{NET}.safetensors"]
    assert choose(["config.json", INDEX, *SHARDS], "ControlNet", "o/n") == ["config.json", INDEX, *SHARDS]


@pytest.mark.parametrize("kind", ["base", "ControlNet"])
def test_a_repository_of_one_file(kind: str) -> None:
    assert choose(["README.md", "thing.safetensors", "thing.ckpt", "config.json"], kind, "o/n") == ["thing.safetensors"]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], "o/n has no safetensors weights; expected a ControlNet in the diffusers layout, or one .safetensors file"),
        (["a.pth", "b.pth"], "it has a.pth, b.pth: download one and turn it into safetensors with `zeroconv convert`"),
        (
            [f"{i}.safetensors" for i in range(6)],
            "6 weight files .*: 0.safetensors, .*3.safetensors and 2 more. Download the one",
        ),
        (
            ["r128/a.safetensors", "r256/a.safetensors"],
            "weights lie in folders: r128/a.safetensors, r256/a.safetensors. Download",
        ),
        (["config.json", f"{NET}.bin"], "nothing else is opened from the hub"),
    ],
)
def test_what_cannot_be_opened_is_one_line(names: list[str], words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        choose(names, "ControlNet", "o/n")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_names_that_climb_out_are_never_chosen() -> None:
    climbing = ["../config.json", "unet/../../x.json", "/etc/x.json", "unet/a/b.json", "tokenizer//x.txt"]
    assert set(choose([*SD15, *climbing], "base", "o/n")) == SD15_WANTED
