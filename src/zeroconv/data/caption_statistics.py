"""What the captions of a data set are like: how many are empty, how long they are, and which repeats."""

import re
import statistics
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from zeroconv.errors import shorten

__all__ = ["CaptionStatistics", "describe_captions"]

MOST_TOKENS = 75  # of a prompt, beside its two end marks: Stable Diffusion's text encoders read no more
PIECES = re.compile(r"[A-Za-z0-9]+|[^\sA-Za-z0-9]")
"""What becomes a token at least: a word in Latin letters, a number, any other letter, a punctuation mark."""


@dataclass(frozen=True)
class CaptionStatistics:
    """Numbers about captions; lengths are those of the captions that are not empty.

    Attributes:
        count: captions, of which a pair may have several.
        empty: captions without a word.
        mean_words: words of a caption on average; words stand between spaces.
        median_words: of half of the captions at most.
        max_words: of the longest caption.
        over_75_tokens: share in [0, 1] of captions that are cut when they are encoded; rare words become several tokens, so
            that a few more may be.
        most_frequent: the caption that is repeated most often; None when none is.
        repeats: how often it occurs.
    """

    count: int = 0
    empty: int = 0
    mean_words: float = 0.0
    median_words: float = 0.0
    max_words: int = 0
    over_75_tokens: float = 0.0
    most_frequent: str | None = None
    repeats: int = 0

    def line(self) -> str:
        """One sentence for people."""
        if self.empty == self.count:
            return f"captions: {self.count}, all empty"
        words = (
            f"{self.mean_words:.1f} words on average, half of them at most {self.median_words:g}, the longest {self.max_words}"
        )
        line = (
            f"captions: {self.count}, {self.empty} of them empty; {words}; {self.over_75_tokens:.1%} over {MOST_TOKENS} tokens"
        )
        again = f"; {shorten(self.most_frequent)!r} occurs {self.repeats} times" if self.most_frequent is not None else ""
        return line + again


def describe_captions(captions: Iterable[str]) -> CaptionStatistics:
    """Count and measure captions."""
    found = [" ".join(caption.split()) for caption in captions]
    told = [caption for caption in found if caption]
    if not told:
        return CaptionStatistics(len(found), len(found))
    words = [len(caption.split()) for caption in told]
    over = sum(len(PIECES.findall(caption)) > MOST_TOKENS for caption in told)
    ((first, repeats),) = Counter(told).most_common(1)
    return CaptionStatistics(
        count=len(found),
        empty=len(found) - len(told),
        mean_words=round(statistics.fmean(words), 2),
        median_words=statistics.median(words),
        max_words=max(words),
        over_75_tokens=round(over / len(told), 4),
        most_frequent=first if repeats > 1 else None,
        repeats=repeats if repeats > 1 else 0,
    )
