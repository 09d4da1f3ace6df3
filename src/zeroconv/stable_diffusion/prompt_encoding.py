"""Prompt encoding: token hidden states and, for SDXL, the pooled embedding."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from zeroconv.messages import Message, tell

__all__ = ["PromptEncoder", "PromptEncoding", "encode_prompts"]


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
        settings = {"padding": "max_length", "truncation": True, "max_length": window, "return_tensors": "pt"}
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
    if len(encoders) == 1:
        text = PromptEncoding(encoders[0].network(encoders[0].tokens(prompts, window)).last_hidden_state)
    else:
        outputs = [encoder.network(encoder.tokens(prompts, window), output_hidden_states=True) for encoder in encoders]
        text = PromptEncoding(torch.cat([one.hidden_states[-2] for one in outputs], dim=-1), outputs[-1].text_embeds)
    if not force_zeros_for_empty_prompt:
        return text
    empty = torch.tensor([not prompt for prompt in prompts], device=text.hidden_states.device)
    return text.replace_rows(empty, text.map(torch.zeros_like))
