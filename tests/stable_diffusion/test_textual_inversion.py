"""Textual inversion: a word of the prompt is read as the file's vectors, as diffusers reads it; and from every kind of file."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.loaders.textual_inversion import TextualInversionLoaderMixin
from safetensors.torch import save_file
from torch import Tensor

from tests.loras import Factors, kohya
from tests.tiny import SDXL, build_base, numbers, save_base
from zeroconv.checkpoints.inspect.describe import describe
from zeroconv.checkpoints.keys.lora import BUNDLED
from zeroconv.conversion.base import convert_tensors
from zeroconv.errors import InputError
from zeroconv.generation import ControlPipeline
from zeroconv.messages import Message, listen
from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.stable_diffusion.textual_inversion import expand_words

KEY = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"


@pytest.fixture
def base(tmp_path: Path) -> StableDiffusion:
    return build_base(tmp_path / "own")


@pytest.fixture
def own_xl(tmp_path: Path) -> StableDiffusion:
    return build_base(tmp_path / "own-xl", config=SDXL)


def states(base: StableDiffusion, prompt: str, weighted: bool = False) -> Tensor:
    return base.encode_text([prompt], weighted=weighted).hidden_states


class Theirs(TextualInversionLoaderMixin):
    """What of a diffusers pipeline reads embeddings."""

    hf_device_map = None
    components: dict[str, Any]

    def __init__(self, tokenizer: Any, text_encoder: Any) -> None:
        self.tokenizer, self.text_encoder = tokenizer, text_encoder
        self.components = {}


@torch.no_grad()
@pytest.mark.parametrize("count", [1, 3])
def test_it_is_read_as_diffusers_reads_it(base: StableDiffusion, tmp_path: Path, count: int) -> None:
    vectors = numbers(count, 16)
    save_file({"emb_params": vectors}, tmp_path / "sks.safetensors")
    reference = build_base(tmp_path / "theirs")
    theirs = Theirs(reference.tokenizer, reference.text_encoder)
    theirs.load_textual_inversion({"sks": vectors[0] if count == 1 else vectors}, token="sks")
    prompt: Any = theirs.maybe_convert_prompt("a sks house", theirs.tokenizer)
    ids = theirs.tokenizer(prompt, padding="max_length", max_length=16, truncation=True, return_tensors="pt").input_ids
    wanted = theirs.text_encoder(ids).last_hidden_state
    before = states(base, "a sks house")
    base.add_embedding(tmp_path / "sks.safetensors")
    for prompt in ("a sks house", "a SKS house", "a embedding:sks house", "a embedding: Sks house"):
        for weighted in (False, True):
            assert torch.equal(states(base, prompt, weighted), wanted), prompt
    assert (before - wanted).abs().max() > 1e-3
    for prompt in ("a skst house", "a mysks house", "a non-sks house", "a house"):
        assert torch.equal(states(base, prompt), states(reference_of(tmp_path), prompt)), prompt


def reference_of(tmp_path: Path) -> StableDiffusion:
    """A base that knows no embedding."""
    folder = tmp_path / "plain"
    return StableDiffusion.from_pretrained(folder if folder.exists() else save_base(folder))


@torch.no_grad()
def test_sdxl_reads_two_and_its_pooled_embedding_is_still_the_prompts_end(own_xl: StableDiffusion, tmp_path: Path) -> None:
    """Vectors that the table has already: then word and vectors are the same prompt, pooled embedding and all."""
    ids = own_xl.tokenizer("b", add_special_tokens=False).input_ids
    tables = [encoder.get_input_embeddings().weight for encoder in (own_xl.text_encoder, own_xl.text_encoder_2)]
    save_file({"clip_l": tables[0][ids].clone(), "clip_g": tables[1][ids].clone()}, tmp_path / "Word.safetensors")
    wanted = own_xl.encode_text(["a b c"], weighted=True)
    own_xl.add_embedding(tmp_path / "Word.safetensors")
    for weighted in (True, False):
        found = own_xl.encode_text(["a word c"], weighted=weighted)
        assert torch.equal(found.hidden_states, wanted.hidden_states)
        assert wanted.pooled is not None and found.pooled is not None and torch.equal(found.pooled, wanted.pooled)
    told = describe(tmp_path / "Word.safetensors", hashed=False)
    assert told.kind == "textual-inversion embedding" and told.refused is None and told.details["vectors"] == "1"


@torch.no_grad()
def test_weights_and_long_prompts(base: StableDiffusion, tmp_path: Path) -> None:
    save_file({"emb_params": numbers(2, 16)}, tmp_path / "sks.safetensors")
    base.add_embedding(tmp_path / "sks.safetensors", "bad-hands 5")
    plain, weighted = (states(base, prompt, True) for prompt in ("a bad-hands 5", "a (bad-hands 5:1.3)"))
    changed = ((plain - weighted).abs().amax(dim=-1) > 1e-3)[0]
    assert changed.any() and plain.shape == weighted.shape
    assert states(base, "a, " * 12 + "bad-hands 5", True).shape[1] == 2 * 16


def test_files_of_every_kind(base: StableDiffusion, tmp_path: Path) -> None:
    vectors = numbers(2, 16)
    torch.save({"string_to_token": {"*": 265}, "string_to_param": {"*": torch.nn.Parameter(vectors)}, "name": "x", "step": 5},
               tmp_path / "old.pt")  # fmt: skip
    with pytest.raises(ValueError, match=r"old\.pt is a pickle, which only `zeroconv convert` opens"):
        base.add_embedding(tmp_path / "old.pt")
    convert_tensors(tmp_path / "old.pt", tmp_path / "old.safetensors")
    save_file({"emb_params": vectors}, tmp_path / "panel.safetensors")
    for name in ("old", "panel"):
        base.add_embedding(tmp_path / f"{name}.safetensors")
    assert torch.equal(states(base, "a old"), states(base, "a panel"))
    save_file({"<cat-toy>": numbers(768)}, tmp_path / "learned_embeds.safetensors")
    told = describe(tmp_path / "learned_embeds.safetensors", hashed=False)
    assert told.family is not None and told.family.title == "SD 1.5" and told.refused is None


def test_what_cannot_be_read_is_one_line_and_changes_nothing(base: StableDiffusion, tmp_path: Path) -> None:
    save_file({"emb_params": numbers(2, 16)}, tmp_path / "sks.safetensors")
    base.add_embedding(tmp_path / "sks.safetensors")
    before = len(base.tokenizer)
    base.add_embedding(tmp_path / "sks.safetensors")  # the same again is no news
    broken = numbers(2, 16)
    broken[0, 0] = torch.nan
    for name, tensors, message in (
        ("wide", {"emb_params": numbers(2, 24)}, "its vectors are 24 wide, this base takes 16 for the text encoder"),
        ("xl", {"clip_l": numbers(1, 8), "clip_g": numbers(1, 8)}, "its vectors are 8 and 8 wide, this base takes 16"),
        ("nan", {"emb_params": broken}, "not finite"),
        ("many", {"emb_params": numbers(76, 16)}, "expected 1 to 75 vectors"),
        ("deep", {"emb_params": numbers(1, 2, 16)}, "expected 1 to 75 vectors"),
        ("a,b", {"emb_params": numbers(1, 16)}, "cannot be a word of a prompt: give another, as FILE:WORD"),
        ("lora", kohya({"unet": {KEY: Factors(torch.zeros(2, 16), torch.zeros(32, 2))}}), "it is a LoRA"),
    ):
        save_file(tensors, tmp_path / f"{name}.safetensors")
        with pytest.raises(ValueError, match=message):
            base.add_embedding(tmp_path / f"{name}.safetensors")
    save_file({"emb_params": numbers(2, 16, seed=4)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="there is another embedding 'SKS' already"):
        base.add_embedding(tmp_path / "other.safetensors", "SKS")
    with pytest.raises(FileNotFoundError, match="there is no embedding at"):
        base.add_embedding(tmp_path / "none.safetensors")
    assert len(base.tokenizer) == before and len(base.embeddings) == 1
    said: list[Message] = []
    with listen(said.append):
        states(base, "a embedding:easynegative house")
    assert "prompt.embedding" in [message.code for message in said]


def test_no_word_is_found_in_the_tokens_of_another(base: StableDiffusion, tmp_path: Path) -> None:
    for index, word in enumerate(("sks", "0", "embedding0", "embedding")):
        save_file({"emb_params": numbers(2, 16, seed=index)}, tmp_path / "a.safetensors")
        base.add_embedding(tmp_path / "a.safetensors", word)
    first, second, third, fourth = (" ".join(one.tokens) for one in base.embeddings)
    expanded = expand_words("a SKS, embedding:0 (embedding0:1.2) embedding", base.embeddings)
    assert expanded == f"a {first}, {second} ({third}:1.2) {fourth}"


def test_words_of_diffusers_and_accents_however_written(base: StableDiffusion, tmp_path: Path) -> None:
    save_file({"emb_params": numbers(2, 16)}, tmp_path / "learned_embeds.safetensors")
    save_file({"emb_params": numbers(1, 16)}, tmp_path / "e\u0301te\u0301.safetensors")  # as macOS writes names
    base.add_embedding(tmp_path / "learned_embeds.safetensors", "<cat-toy>")
    base.add_embedding(tmp_path / "e\u0301te\u0301.safetensors")
    toy, season = (" ".join(one.tokens) for one in base.embeddings)
    prompt = "a <cat-toy> in \u00e9t\u00e9, e\u0301te\u0301"
    assert expand_words(prompt, base.embeddings) == f"a {toy} in {season}, {season}"
    with pytest.raises(InputError, match="cannot be a word"):
        base.add_embedding(tmp_path / "learned_embeds.safetensors", "<lora:x:1>")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn])
def test_vectors_in_every_type(dtype: torch.dtype, base: StableDiffusion, tmp_path: Path) -> None:
    vectors = numbers(2, 16).to(dtype)
    save_file({"emb_params": vectors}, tmp_path / "sks.safetensors")
    base.add_embedding(tmp_path / "sks.safetensors")
    assert torch.equal(base.embeddings[0].vectors["text_encoder"], vectors.float())


def test_an_embedding_in_no_prompt_is_told(base: StableDiffusion, tmp_path: Path) -> None:
    save_file({"emb_params": numbers(2, 16)}, tmp_path / "sks.safetensors")
    base.add_embedding(tmp_path / "sks.safetensors")

    def told(prompt: str, negative: str = "") -> list[str]:
        found: list[str] = []
        with listen(lambda message: found.append(message.code)):
            ControlPipeline(base)(prompt, negative_prompt=negative, num_inference_steps=1)
        return found

    assert told("a house") == told("a sks-house") == ["no-effect.embedding"]
    assert told("a SKS house") == told("a house", "sks") == []


def test_a_bundle_comes_with_its_lora(base: StableDiffusion, tmp_path: Path) -> None:
    pair = Factors(torch.zeros(2, 16), torch.zeros(32, 2))
    vectors = numbers(2, 16)
    tensors = kohya({"unet": {KEY: pair}}) | {f"{BUNDLED}sks.string_to_param.*": vectors}
    save_file(tensors, tmp_path / "bundle.safetensors")
    save_file({"emb_params": vectors}, tmp_path / "word.safetensors")
    report = base.add_lora(tmp_path / "bundle.safetensors")
    assert "in prompts 'sks' is its embedding" in str(report)
    base.add_lora(tmp_path / "bundle.safetensors", -1)  # taken out again: the word stays
    base.add_embedding(tmp_path / "word.safetensors")
    assert torch.equal(states(base, "a sks house"), states(base, "a word house"))
    assert [one.word for one in base.embeddings] == ["sks", "word"]
