"""Prompts as every family is told them: SDXL's two encoders, pooled vectors and sizes are those of diffusers."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline

from tests.tiny import numbers
from zeroconv.stable_diffusion import PromptEncoding, StableDiffusion


@pytest.fixture(scope="module")
def theirs(xl_folder: Path) -> Any:
    """The same folder as diffusers opens it."""
    return StableDiffusionXLPipeline.from_pretrained(xl_folder, low_cpu_mem_usage=False, add_watermarker=False)


@pytest.mark.parametrize("prompts", [["a red house"], ["a red house", "sea", "A TREE, sun."]])
def test_both_encoders_and_the_pooled_vector_are_those_of_diffusers(
    xl: StableDiffusion, theirs: Any, prompts: list[str]
) -> None:
    states, _, pooled, _ = theirs.encode_prompt(prompts, device="cpu", do_classifier_free_guidance=False)
    text = xl.encode_text(prompts)
    assert text.pooled is not None and text.hidden_states.shape == (len(prompts), 16, 16)
    assert not text.hidden_states.requires_grad and not text.pooled.requires_grad
    torch.testing.assert_close(text.hidden_states, states)
    torch.testing.assert_close(text.pooled, pooled)
    assert text.hidden_states.std() > 0.1 and text.pooled.std() > 0.1


def test_the_empty_prompt_is_the_negative_prompt_that_was_not_given(xl: StableDiffusion, theirs: Any) -> None:
    _, states, _, pooled = theirs.encode_prompt("sea", device="cpu", do_classifier_free_guidance=True)
    empty = xl.encode_text(["sea", ""]).map(lambda tensor: tensor[1:])
    assert empty.pooled is not None
    assert (
        torch.equal(empty.hidden_states, states) and torch.equal(empty.pooled, pooled) and not states.any() and not pooled.any()
    )


def test_where_the_folder_says_so_the_empty_prompt_is_encoded(xl: StableDiffusion, theirs: Any) -> None:
    plain = replace(xl, force_zeros_for_empty_prompt=False)
    _, states, _, pooled = theirs.encode_prompt("sea", device="cpu", do_classifier_free_guidance=True, negative_prompt="")
    text = plain.encode_text([""])
    assert text.pooled is not None and text.pooled.any()
    torch.testing.assert_close(text.hidden_states, states)
    torch.testing.assert_close(text.pooled, pooled)


def test_sizes_are_told_as_diffusers_tells_them(xl: StableDiffusion, theirs: Any) -> None:
    pooled = xl.added_conditions(xl.encode_text(["sea", "sun"]), 64, 40)
    assert pooled is not None and pooled.text_embeds.shape == (2, 16) and pooled.time_ids.shape == (2, 6)
    wanted = theirs._get_add_time_ids((40, 64), (0, 0), (40, 64), torch.float32, text_encoder_projection_dim=16)
    assert torch.equal(pooled.time_ids, wanted.expand(2, -1))


def test_other_families_have_no_pooled_vector(base: StableDiffusion) -> None:
    text = base.encode_text(["sea"])
    assert text.pooled is None and base.added_conditions(text, 64, 64) is None and not base.is_xl
    assert base.encode_text([""]).hidden_states.any()


def test_a_long_prompt_is_cut_once_for_both_encoders(xl: StableDiffusion) -> None:
    with pytest.warns(UserWarning, match=r"not read: 'op'$") as caught:
        xl.encode_text(["abcdefghijklmnop"])
    assert len(caught) == 1 and caught[0].filename == __file__


def test_prompts_are_replaced_row_by_row() -> None:
    text = PromptEncoding(numbers(3, 5, 4), numbers(3, 2, seed=1))
    empty = PromptEncoding(torch.zeros(1, 5, 4), torch.ones(1, 2))
    rows = torch.tensor([True, False, True])
    mixed = text.replace_rows(rows, empty)
    assert mixed.pooled is not None and text.pooled is not None
    assert torch.equal(mixed.hidden_states[1], text.hidden_states[1]) and torch.equal(mixed.pooled[1], text.pooled[1])
    assert not mixed.hidden_states[rows].any() and (mixed.pooled[rows] == 1).all()
    assert torch.equal(text.replace_rows(~rows, text).hidden_states, text.hidden_states)
    assert PromptEncoding(text.hidden_states).replace_rows(rows, PromptEncoding(empty.hidden_states)).pooled is None
    doubled = text.map(lambda tensor: 2 * tensor)
    assert doubled.pooled is not None
    assert torch.equal(doubled.hidden_states, 2 * text.hidden_states) and torch.equal(doubled.pooled, 2 * text.pooled)
