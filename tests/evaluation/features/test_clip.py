"""CLIP: transformers' own numbers for pictures and texts, its files, and linear heads."""

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from zeroconv.checkpoints import write_safetensors
from zeroconv.errors import InputError
from zeroconv.evaluation.features.clip import ClipExtractor, open_aesthetic_head, open_clip
from zeroconv.metrics.image_text import aesthetic_scores

TEXT = {
    "vocab_size": 49408, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "bos_token_id": 49406, "eos_token_id": 49407, "pad_token_id": 49407,
}  # fmt: skip
VISION = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 48}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    config = transformers.CLIPConfig(text_config=TEXT, vision_config={**VISION, "patch_size": 16}, projection_dim=12)
    path = tmp_path_factory.mktemp("clip")
    transformers.CLIPModel(config).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def extractor(folder: Path) -> ClipExtractor:
    return open_clip(folder)


def pictures() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (h, w, 3), np.uint8)) for h, w in ((60, 48), (48, 48), (201, 333), (99, 37))]


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_pictures_equal_to_transformers(extractor: ClipExtractor) -> None:
    process = transformers.CLIPImageProcessorPil(size={"shortest_edge": 48}, crop_size={"height": 48, "width": 48})
    pixels = process(images=pictures(), return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        wanted = extractor.model(pixel_values=pixels, input_ids=torch.zeros(1, 1, dtype=torch.long)).image_embeds.numpy()
    found = extractor.extract(pictures())
    assert found.shape == (4, extractor.dimension) and found.dtype == np.float32
    assert unit(found) == pytest.approx(wanted, abs=1e-5)


def test_texts_equal_to_transformers_whatever_stands_beside_them(extractor: ClipExtractor) -> None:
    texts = ["a red house", "two cars at night, with mountains and a lake"]
    asked = extractor.tokenizer(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        wanted = extractor.model(**asked, pixel_values=torch.zeros(1, 3, 48, 48)).text_embeds.numpy()
    found = extractor.extract_texts(texts)
    assert unit(found) == pytest.approx(wanted, abs=1e-5)
    assert extractor.extract_texts(texts[:1]) == pytest.approx(found[:1], abs=1e-5)
    assert extractor.extract_texts(["word " * 200]).shape == (1, 12)  # what does not fit the window is not seen


def test_what_the_procedure_says(extractor: ClipExtractor, folder: Path) -> None:
    assert (extractor.name, extractor.resizer) == ("clip-16x2-patch16-48", "clip-bicubic-48")
    assert extractor.weights == str(folder) and len(extractor.sha256) == 64


def test_wrong_folders_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"has no config\.json"):
        open_clip(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "siglip"}', "utf-8")
    with pytest.raises(InputError, match="type 'siglip'; expected 'clip'"):
        open_clip(tmp_path)
    with pytest.raises(FileNotFoundError, match="no CLIP at 'nowhere'"):
        open_clip("nowhere")
    text = (folder / "config.json").read_text("utf-8")
    (tmp_path / "config.json").write_text(text, "utf-8")
    write_safetensors(tmp_path / "model.safetensors", {"logit_scale": torch.ones(())})
    with pytest.raises(ValueError, match="not complete"):
        open_clip(tmp_path)


def test_an_aesthetic_head(tmp_path: Path) -> None:
    path = tmp_path / "head.safetensors"
    write_safetensors(path, {"weight": torch.tensor([[1.0, 2]]), "bias": torch.tensor([0.5])})
    head = open_aesthetic_head(path)
    assert aesthetic_scores([[0.0, 3]], head.weight, head.bias) == pytest.approx([2.5])
    assert head.weights == str(path) and len(head.sha256) == 64
    write_safetensors(path, {"weight": torch.ones(2, 2), "bias": torch.ones(2)})
    with pytest.raises(InputError, match=r"expected weight \(1, D\) and bias \(1,\)"):
        open_aesthetic_head(path)
    with pytest.raises(InputError, match="reads it safely"):
        open_aesthetic_head("sa_0_4_vit_l_14_linear.pth")
