"""Weights in prompts: the grammar of web UI, windows for long prompts, and states weighted as its original method does."""

import re
import string
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from tests.tiny import randomized
from zeroconv.stable_diffusion.prompt_encoding import PromptEncoder, encode_prompts, encode_weighted_prompts
from zeroconv.stable_diffusion.prompt_weights import parse_prompt
from zeroconv.stable_diffusion.prompt_windows import split_windows
from zeroconv.stable_diffusion.tokenizer import clip_tokenizer

SIZE = 77


def read(prompt: str) -> list[tuple[str, float]]:
    """Words and weights; a break is "|"."""
    return [("|" if part.is_break else part.text, round(part.weight, 6)) for part in parse_prompt(prompt)]


@pytest.mark.parametrize(
    ("prompt", "parts"),
    [
        ("a red house", [("a red house", 1)]),
        ("", [("", 1)]),
        ("an (important) word", [("an ", 1), ("important", 1.1), (" word", 1)]),
        ("((a)) [b]", [("a", 1.21), (" ", 1), ("b", 0.909091)]),
        ("(a:1.3) (b:.5) (c: 2 )", [("a", 1.3), (" ", 1), ("b", 0.5), (" ", 1), ("c", 2)]),
        ("((a:1.2) b)", [("a", 1.32), (" b", 1.1)]),
        ("(unclosed [both", [("unclosed ", 1.1), ("both", 1)]),
        ("too) many]", [("too) many]", 1)]),
        (r"\(meant\) \[too\] \\", [(r"(meant) [too] \ ".strip(), 1)]),
        ("a:b, 3:4", [("a:b, 3:4", 1)]),
        ("[a:1.2]", [("a:1.2", 0.909091)]),
        ("a BREAK b BREAKFAST", [("a ", 1), ("|", 1), (" b BREAKFAST", 1)]),
        ("(a:0) (b:-1)", [("a", 0), (" ", 1), ("b", -1)]),
        (
            "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).",
            [("a ", 1), ("house", 1.573), (" ", 1.1), ("on", 1), (" a ", 1.1), ("hill", 0.55), (", sun, ", 1.1),
             ("sky", 1.4641), (".", 1.1)],
        ),
    ],
)  # fmt: skip
def test_the_grammar(prompt: str, parts: list[tuple[str, float]]) -> None:
    assert read(prompt) == parts


@given(st.text(alphabet="ab ,.:1\\()[]BREAK" + string.whitespace, max_size=60))
def test_any_text_is_read_and_no_word_is_lost_or_made_up(prompt: str) -> None:
    text = "".join("" if part.is_break else part.text for part in parse_prompt(prompt))
    kept = [letter for letter in text if letter in "ab,"]
    assert kept == [letter for letter in re.sub(r"\bBREAK\b", "", prompt) if letter in "ab,"]
    assert all(abs(part.weight) < float("inf") for part in parse_prompt(prompt))


@given(st.text(alphabet=string.ascii_letters + string.digits + " ,.;!?'-", max_size=80).filter(lambda t: "BREAK" not in t))
def test_text_without_brackets_is_one_part_of_weight_one(prompt: str) -> None:
    assert [(part.text, part.weight) for part in parse_prompt(prompt)] == [(prompt, 1)]


def test_windows_are_cut_at_a_comma_near_their_end_and_nothing_is_lost() -> None:
    tokenizer = clip_tokenizer()
    words = ", ".join(["red house"] * 40)
    (first, *others) = windows = split_windows(words, tokenizer, SIZE)
    whole = tokenizer(words, add_special_tokens=False, verbose=False).input_ids
    assert [token for window in windows for token in window.ids] == whole
    assert first.ids[-1] == tokenizer(",", add_special_tokens=False).input_ids[-1] and 55 < len(first.ids) <= 75
    assert len(others) == 1
    without = split_windows("house " * 100, tokenizer, SIZE)
    assert [len(window.ids) for window in without] == [75, 25]


def test_break_begins_a_window_and_weights_follow_their_tokens() -> None:
    tokenizer = clip_tokenizer()
    first, second = split_windows("a red BREAK (house:1.5) tree", tokenizer, SIZE)
    assert (len(first.ids), len(second.ids)) == (2, 2)
    assert first.weights == (1, 1) and second.weights == (1.5, 1)
    assert second.padded_weights(6) == [1, 1.5, 1, 1, 1, 1]
    assert len(split_windows("", tokenizer, SIZE)) == 1


@pytest.mark.parametrize("count", [1, 2])
def test_a_prompt_of_one_window_without_weights_is_encoded_as_before_bit_by_bit(count: int) -> None:
    encoders = encoders_of(count)
    prompts = ["a red house", "", "sea, sky"]
    for zeros in (False, True):
        plain, weighted = (encode(prompts, encoders, zeros) for encode in (encode_prompts, encode_weighted_prompts))
        assert torch.equal(plain.hidden_states, weighted.hidden_states)
        assert (plain.pooled is None) == (weighted.pooled is None) == (count == 1)
        assert plain.pooled is None or weighted.pooled is None or torch.equal(plain.pooled, weighted.pooled)


@pytest.mark.parametrize("count", [1, 2])
def test_states_are_multiplied_and_those_of_each_encoder_keep_their_mean(count: int) -> None:
    encoders = encoders_of(count)
    plain = encode_prompts(["a red house"], encoders, False).hidden_states[0]
    made = encode_weighted_prompts(["a (red:1.5) house"], encoders, False).hidden_states[0]
    parts = plain.split(16, dim=-1)  # of each encoder
    by_hand = [part.clone() for part in parts]
    for part in by_hand:
        part[2] *= 1.5  # start, a, red
    wanted = torch.cat([part * whole.mean() / part.mean() for part, whole in zip(by_hand, parts, strict=True)], dim=-1)
    torch.testing.assert_close(made, wanted, rtol=1e-4, atol=1e-5)


def test_windows_stand_one_after_the_other_and_shorter_prompts_get_empty_ones() -> None:
    encoders = encoders_of(2)
    size = min(encoder.window for encoder in encoders)
    pair = encode_weighted_prompts(["a red BREAK house", "sea"], encoders, False)
    assert pair.hidden_states.shape[1] == 2 * size
    red, house, sea, empty = (encode_prompts([text], encoders, False) for text in ("a red", "house", "sea", ""))
    torch.testing.assert_close(pair.hidden_states[0], torch.cat([red.hidden_states, house.hidden_states], 1)[0])
    torch.testing.assert_close(pair.hidden_states[1], torch.cat([sea.hidden_states, empty.hidden_states], 1)[0])
    assert pair.pooled is not None and red.pooled is not None
    torch.testing.assert_close(pair.pooled[0], red.pooled[0])


def test_a_prompt_is_the_same_alone_and_beside_others() -> None:
    encoders = encoders_of(1)
    together = encode_weighted_prompts(["(sea:2)", "a (red:0.3) house"], encoders, False).hidden_states
    alone = encode_weighted_prompts(["a (red:0.3) house"], encoders, False).hidden_states
    torch.testing.assert_close(together[1], alone[0], rtol=1e-5, atol=1e-6)


@cache
def encoders_of(count: int) -> list[PromptEncoder]:
    """Tiny random encoders over CLIP's own vocabulary; the second has a projection, as SDXL's."""
    settings: dict[str, Any] = {
        "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "projection_dim": 16,
        "bos_token_id": 49406, "eos_token_id": 49407, "pad_token_id": 49407,
    }  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        kinds: list[Any] = [CLIPTextModel, CLIPTextModelWithProjection][:count]
        networks = [randomized(kind(CLIPTextConfig(**settings)), seed).eval() for seed, kind in enumerate(kinds)]
    return [PromptEncoder(clip_tokenizer(pad), network) for pad, network in zip(("<|endoftext|>", "!"), networks, strict=False)]
