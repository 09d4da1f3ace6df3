"""Prompt encoding: token hidden states and, for SDXL, the pooled embedding."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from zeroconv.messages import Message, tell
from zeroconv.stable_diffusion.prompt_windows import Window, split_windows
from zeroconv.stable_diffusion.textual_inversion import ExtendedEmbedding

__all__ = ["PromptEncoder", "PromptEncoding", "count_windows", "encode_prompts", "encode_weighted_prompts"]


@dataclass(frozen=True)
class PromptEncoding:
    """Encoded prompts.

    Attributes:
        hidden_states: of the tokens, (B, N, D); D is 768 for SD 1.5, 1024 for SD 2.1, 768 + 1280 for SDXL.
        pooled: one embedding for each prompt, (B, P), P = 1280: SDXL alone; None for the others.
    """

    hidden_states: Tensor
    pooled: Tensor | None = None

    def map(self, change: Callable[[Tensor], Tensor]) -> "PromptEncoding":
        """The same with both tensors changed."""
        return PromptEncoding(change(self.hidden_states), None if self.pooled is None else change(self.pooled))

    def replace_rows(self, rows: Tensor, other: "PromptEncoding") -> "PromptEncoding":
        """The same with some prompts replaced.

        Args:
            rows: which, (B,) of bool.
            other: what they become, one prompt or B.
        """
        hidden_states = torch.where(rows[:, None, None], other.hidden_states, self.hidden_states)
        if self.pooled is None or other.pooled is None:
            return PromptEncoding(hidden_states)
        return PromptEncoding(hidden_states, torch.where(rows[:, None], other.pooled, self.pooled))


@dataclass(frozen=True)
class PromptEncoder:
    """A tokenizer and the CLIP text encoder it feeds.

    Attributes:
        tokenizer: transformers' `CLIPTokenizer`.
        network: `CLIPTextModel`, or `CLIPTextModelWithProjection` for SDXL's second one.
    """

    tokenizer: Any
    network: Any

    @property
    def window(self) -> int:
        """Tokens it reads of a prompt, the start and the end among them."""
        return min(self.tokenizer.model_max_length, self.network.config.max_position_embeddings)

    def tokens(self, prompts: Sequence[str], window: int) -> Tensor:
        """Token numbers, padded or cut to the window: (B, N)."""
        settings: dict[str, Any] = {"padding": "max_length", "truncation": True, "max_length": window, "return_tensors": "pt"}
        return self.tokenizer(list(prompts), **settings).input_ids.to(self.network.device)

    def cut(self, prompt: str, window: int) -> str | None:
        """A sentence naming the words of a prompt that do not fit the window; None when all do."""
        ids = self.tokenizer(prompt, truncation=False, verbose=False).input_ids
        if len(ids) <= window:
            return None
        lost = self.tokenizer.decode(ids[window - 1 : -1]).strip()
        return f"the prompt has {len(ids)} tokens, the base reads {window}; not read: {lost!r}"


@torch.no_grad()
def encode_prompts(
    prompts: Sequence[str], encoders: Sequence[PromptEncoder], force_zeros_for_empty_prompt: bool
) -> PromptEncoding:
    """Encode prompts as the family of the base wants it.

    One encoder (SD 1.x and 2.x): the last layer's states after the final norm. Two (SDXL; Podell et al., "SDXL", 2023,
    arXiv 2307.01952, section 2.1): the states of the last but one layer of both, side by side, without the final
    norm, and the second one's projected vector.

    Args:
        prompts: B prompts; one longer than the window is cut, with a warning that names what was left out.
        encoders: one or two.
        force_zeros_for_empty_prompt: whether the empty prompt is encoded as zeros, as in SDXL's training.
    """
    window = min(encoder.window for encoder in encoders)
    for prompt in prompts:
        cut = encoders[0].cut(prompt, window)
        if cut is not None:
            tell(Message(cut, "prompt.cut"))
    text = run_encoders([encoder.tokens(prompts, window) for encoder in encoders], encoders)
    return zero_empty(text, prompts) if force_zeros_for_empty_prompt else text


@torch.no_grad()
def encode_weighted_prompts(
    prompts: Sequence[str], encoders: Sequence[PromptEncoder], force_zeros_for_empty_prompt: bool
) -> PromptEncoding:
    """Encode prompts with weights, `BREAK` and any number of words, as Stable Diffusion web UI does it.

    A prompt is cut into windows, each is encoded by itself, the states of its tokens are multiplied by their weights, and all
    are multiplied so that their mean is what it was. The windows of a prompt stand one after the other; a prompt with
    fewer than the longest of these gets windows of the empty prompt. The pooled embedding is the first window's. A prompt of
    one window without weights is what `encode_prompts` makes of it, bit by bit.

    Args:
        prompts: B prompts; see `parse_prompt` for the weights.
        encoders: one or two.
        force_zeros_for_empty_prompt: whether the empty prompt is encoded as zeros, as in SDXL's training.

    Returns:
        States (B, windows · N, D).
    """
    size = min(encoder.window for encoder in encoders)
    split = [[split_windows(prompt, encoder.tokenizer, size) for prompt in prompts] for encoder in encoders]
    count = max(len(windows) for each in split for windows in each)
    padded = [[windows + [Window()] * (count - len(windows)) for windows in each] for each in split]
    device = encoders[0].network.device
    states, pooled = list[Tensor](), list[Tensor]()
    for place in range(count):
        ids = [
            torch.tensor([windows[place].padded_ids(encoder.tokenizer, size) for windows in each], device=device)
            for encoder, each in zip(encoders, padded, strict=True)
        ]
        weights = torch.tensor([windows[place].padded_weights(size) for windows in padded[0]], device=device)
        text = run_encoders(ids, encoders, weights)
        states.append(text.hidden_states)
        pooled += [text.pooled] if text.pooled is not None else []
    text = PromptEncoding(torch.cat(states, dim=1), pooled[0] if pooled else None)
    return zero_empty(text, prompts) if force_zeros_for_empty_prompt else text


def weigh(states: Tensor, weights: Tensor) -> Tensor:
    """Token states times their weights, brought back to the mean they had, each prompt by itself.

    Args:
        states: (B, N, D).
        weights: (B, N).
    """
    if bool((weights == 1).all()):
        return states
    weighted = states * weights[:, :, None].to(states.dtype)
    before, after = (each.float().mean(dim=(1, 2), keepdim=True) for each in (states, weighted))
    changed = (weights != 1).any(dim=1)[:, None, None]
    restored = weighted * torch.where(after == 0, torch.ones_like(after), before / after).to(states.dtype)
    return torch.where(changed, restored, states)


def inward(encoder: PromptEncoder, ids: Tensor) -> Tensor:
    """A tokenizer's numbers as its text encoder has them."""
    table = encoder.network.get_input_embeddings()
    return table.inward(ids) if isinstance(table, ExtendedEmbedding) else ids


def run_encoders(ids: Sequence[Tensor], encoders: Sequence[PromptEncoder], weights: Tensor | None = None) -> PromptEncoding:
    """Token numbers (B, N) of each encoder to states and, of two encoders, the second one's projected vector.

    Args:
        ids: for each encoder.
        encoders: one or two.
        weights: of the tokens, (B, N); the states of each encoder are weighed by themselves.
    """

    def weighed(states: Tensor) -> Tensor:
        return states if weights is None else weigh(states, weights)

    ids = [inward(encoder, numbers) for encoder, numbers in zip(encoders, ids, strict=True)]
    if len(encoders) == 1:
        return PromptEncoding(weighed(encoders[0].network(ids[0]).last_hidden_state))
    outputs = [encoder.network(numbers, output_hidden_states=True) for encoder, numbers in zip(encoders, ids, strict=True)]
    return PromptEncoding(torch.cat([weighed(one.hidden_states[-2]) for one in outputs], dim=-1), outputs[-1].text_embeds)


def count_windows(prompt: str, encoders: Sequence[PromptEncoder]) -> int:
    """How many windows `encode_weighted_prompts` cuts a prompt into."""
    size = min(encoder.window for encoder in encoders)
    return max(len(split_windows(prompt, encoder.tokenizer, size)) for encoder in encoders)


def zero_empty(text: PromptEncoding, prompts: Sequence[str]) -> PromptEncoding:
    """The same with zeros for empty prompts."""
    empty = torch.tensor([not prompt for prompt in prompts], device=text.hidden_states.device)
    return text.replace_rows(empty, text.map(torch.zeros_like))
