"""Textual inversion: words of the prompt that are read as vectors of their own (Gal et al., 2022, arXiv 2208.01618)."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_args
from unicodedata import normalize

import torch
from torch import Tensor, nn
from transformers import AddedToken

from zeroconv.checkpoints.formats.textual_inversion import Vectors
from zeroconv.checkpoints.keys.lora import Part
from zeroconv.errors import InputError
from zeroconv.messages import Message, tell

__all__ = ["EmbeddedWord", "ExtendedEmbedding", "add_vectors", "check_embedding", "expand_words", "unused_words"]

TITLES = {"text_encoder": "the text encoder", "text_encoder_2": "the second text encoder"}


@dataclass(frozen=True)
class EmbeddedWord:
    """A word that stands for vectors.

    Attributes:
        word: as it is written in prompts; upper and lower case are the same.
        tokens: what it is read as, in this order.
        vectors: for each text encoder, (n, D).
    """

    word: str
    tokens: tuple[str, ...]
    vectors: Vectors


class ExtendedEmbedding(nn.Embedding):
    """A text encoder's table of tokens and, for negative numbers, vectors of embeddings: -1 is the first of them.

    Negative, because CLIP finds the end of a prompt as its largest token number. The table itself is the encoder's own
    parameter under the same name; the vectors are in no state dict.

    Args:
        table: of the encoder.
        first: the tokenizer's number for the first vector.
    """

    vectors: Tensor

    def __init__(self, table: nn.Embedding, first: int) -> None:
        super().__init__(table.num_embeddings, table.embedding_dim, _weight=table.weight)
        self.weight = table.weight
        self.first = first
        self.register_buffer("vectors", table.weight.detach()[:0].clone(), persistent=False)

    def forward(self, input: Tensor) -> Tensor:
        """Token numbers (B, N), below the table's size, to vectors (B, N, D)."""
        own = super().forward(input.clamp(min=0))
        if not len(self.vectors):
            return own
        added = self.vectors[(-1 - input).clamp(0, len(self.vectors) - 1)]
        return torch.where(input[..., None] < 0, added.to(own), own)

    def inward(self, ids: Tensor) -> Tensor:
        """A tokenizer's numbers as this table has them."""
        return torch.where(ids >= self.first, self.first - 1 - ids, ids)

    def add(self, vectors: Tensor) -> None:
        """Append vectors, (n, D)."""
        self.vectors = torch.cat([self.vectors, vectors.to(self.vectors)])


def check_embedding(base: Any, vectors: Mapping[Part, Tensor], word: str, what: str) -> bool:
    """Refuse an embedding that this base cannot read, or whose word is taken by another.

    Args:
        base: with `text_encoder` and, of the SDXL family, `text_encoder_2`; its `embeddings` are the words it knows.
        vectors: of the embedding.
        word: as it is to be written in prompts.
        what: the file, for errors.

    Returns:
        Whether it is new: the same one, given twice, is not.

    Raises:
        InputError: saying what is wrong.
    """
    parts: list[Part] = [part for part in get_args(Part) if part != "unet" and getattr(base, part, None) is not None]
    widths = {part: encoder_table(base, part).weight.shape[1] for part in parts}
    found = {part: tensor.shape[1] for part, tensor in vectors.items()}
    if found != widths:
        said = " and ".join(str(width) for width in found.values())
        wanted = " and ".join(f"{width} for {TITLES[part]}" for part, width in widths.items())
        raise InputError(f"{what}: its vectors are {said} wide, this base takes {wanted}: use one made for this family")
    if len({len(tensor) for tensor in vectors.values()}) != 1:
        raise InputError(f"{what}: its text encoders have different numbers of vectors: the file is broken")
    if not word.strip() or any(mark in ANGLED.sub("", word) for mark in "()[]:,<>\n"):
        raise InputError(f"{what}: {word!r} cannot be a word of a prompt: give another, as FILE:WORD")
    known = next((one for one in base.embeddings if spelling(one.word) == spelling(word)), None)
    if known is None:
        return True
    if all(torch.equal(known.vectors[part], tensor) for part, tensor in vectors.items()):
        return False
    raise InputError(f"{what}: there is another embedding {word!r} already: give one of them another word, as FILE:WORD")


def add_vectors(base: Any, vectors: Vectors, word: str) -> None:
    """Teach the base's tokenizers and text encoders a word, for good, and put it among its `embeddings`.

    Args:
        base: see `check_embedding`, which has been asked before.
        vectors: for each text encoder.
        word: as it is to be written in prompts.
    """
    count, place = len(next(iter(vectors.values()))), len(base.embeddings)
    tokens = tuple(f"<|embedding{place}.{index}|>" for index in range(count))
    for part, tensor in vectors.items():
        tokenizer = base.tokenizer if part == "text_encoder" else base.tokenizer_2
        first = len(tokenizer)
        table = encoder_table(base, part)
        if not isinstance(table, ExtendedEmbedding):
            table = ExtendedEmbedding(table, first)
            getattr(base, part).set_input_embeddings(table)
        assert first == table.first + len(table.vectors), "nobody else adds tokens"
        tokenizer.add_tokens([AddedToken(token, normalized=False, special=False) for token in tokens])
        table.add(tensor)
    base.embeddings.append(EmbeddedWord(word, tokens, vectors))


def encoder_table(base: Any, part: Part) -> nn.Embedding:
    """The table of tokens of a text encoder."""
    return getattr(base, part).get_input_embeddings()


def expand_words(prompt: str, words: Iterable[EmbeddedWord]) -> str:
    """The prompt with the tokens of embeddings in place of their words, `embedding:word` too; unknown ones are told."""
    tokens = {spelling(one.word): " ".join(one.tokens) for one in words}
    if tokens:  # all in one pass: the name of a token has words in it, too
        prompt = words_in(tokens).sub(lambda found: tokens.get(spelling(found[1]), found[0]), normalize("NFC", prompt))
    for name in UNKNOWN.findall(prompt):
        said = f"embedding:{name} in a prompt is read as plain words: no such embedding was given (--embedding FILE)"
        tell(Message(said, "prompt.embedding"))
    return prompt


def unused_words(prompts: Iterable[str], words: Iterable[str]) -> list[str]:
    """Words of embeddings that are in none of the prompts."""
    text = normalize("NFC", "\n".join(prompts))
    return [word for word in words if not words_in([spelling(word)]).search(text)]


def words_in(spellings: Iterable[str]) -> re.Pattern[str]:
    """A pattern that finds any of these words, which is its first group; of two that begin alike the longer one."""
    listed = "|".join(re.escape(word) for word in sorted(spellings, key=len, reverse=True))
    return re.compile(rf"(?i)(?:\bembedding:\s*)?(?<![\w-])({listed})(?![\w-])")


def spelling(word: str) -> str:
    """A word as all its spellings are compared: in lower case, an accent and its letter in one."""
    return normalize("NFC", word).lower()


ANGLED = re.compile(r"^<[\w-]+>$")
"""Words as diffusers' trainer has them: `<cat-toy>`."""
UNKNOWN = re.compile(r"\bembedding:\s*([\w.\-]+)")
