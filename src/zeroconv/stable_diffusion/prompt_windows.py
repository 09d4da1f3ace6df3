"""Long and weighted prompts: cut into windows of the text encoder, each token with its weight, as web UI does it."""

from dataclasses import dataclass
from typing import Any

from zeroconv.stable_diffusion.prompt_weights import Segment, parse_prompt

__all__ = ["Window", "split_windows"]

BACKTRACK = 20
"""A full window is cut at a comma among its last so many tokens, if there is one."""
MARKS = 2
"""Tokens of a window that mark its start and its end."""


@dataclass(frozen=True)
class Window:
    """One window of tokens.

    Attributes:
        ids: token numbers without the marks of start and end, at most two less than the encoder reads.
        weights: one for each.
    """

    ids: tuple[int, ...] = ()
    weights: tuple[float, ...] = ()

    def padded_ids(self, tokenizer: Any, size: int) -> list[int]:
        """Token numbers with start, end and padding: `size` of them."""
        filled = [tokenizer.bos_token_id, *self.ids, tokenizer.eos_token_id]
        return filled + [tokenizer.pad_token_id] * (size - len(filled))

    def padded_weights(self, size: int) -> list[float]:
        """A weight for each of the `size` tokens; 1 for what is not of the prompt."""
        return [1.0, *self.weights] + [1.0] * (size - 1 - len(self.weights))


def split_windows(prompt: str, tokenizer: Any, size: int) -> list[Window]:
    """The windows of a prompt, one at least.

    Args:
        prompt: with weights and `BREAK`, see `parse_prompt`.
        tokenizer: transformers' `CLIPTokenizer`.
        size: tokens that the encoder reads, start and end included.
    """
    windows: list[Window] = []
    ids, weights = list[int](), list[float]()
    comma = last_token(tokenizer, ",")

    def close(count: int) -> None:
        windows.append(Window(tuple(ids[:count]), tuple(weights[:count])))
        del ids[:count], weights[:count]

    for part in parse_prompt(prompt):
        if part.is_break:
            close(len(ids))
            continue
        for token in tokens_of(part, tokenizer):
            if len(ids) == size - MARKS:
                commas = [i for i, earlier in enumerate(ids) if earlier == comma and i >= len(ids) - BACKTRACK]
                close(commas[-1] + 1 if commas and token != comma else len(ids))
            ids.append(token)
            weights.append(part.weight)
    if ids or not windows:
        close(len(ids))
    return windows


def tokens_of(part: Segment, tokenizer: Any) -> list[int]:
    """Token numbers of a part's words, without marks, however many there are."""
    return tokenizer(part.text, add_special_tokens=False, truncation=False, verbose=False).input_ids


def last_token(tokenizer: Any, text: str) -> int | None:
    """The number of the last token of a text."""
    found = tokenizer(text, add_special_tokens=False, truncation=False, verbose=False).input_ids
    return found[-1] if found else None
