"""Which pictures of a call are computed together, from which seeds, and how their steps are counted."""

import operator
from collections.abc import Callable, Sequence
from typing import SupportsIndex, cast

from zeroconv.errors import InputError
from zeroconv.generation.prompt_tags import without_tags
from zeroconv.generation.request import GenerationRequest
from zeroconv.messages import listen
from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.stable_diffusion.prompt_encoding import count_windows
from zeroconv.stable_diffusion.textual_inversion import expand_words

__all__ = ["count_steps", "read_prompts", "read_seeds", "read_size", "split_batches", "windows_of"]


def windows_of(request: GenerationRequest, base: StableDiffusion) -> int:
    """How many windows of tokens the prompts of a picture fill: beside longer ones it would get empty windows too."""
    if request.plain_prompt:
        return 1
    prompts = [request.prompt] if request.guidance_scale == 1 else [request.prompt, request.negative_prompt]
    with listen(lambda _: None):  # what is wrong about them is told when they are encoded
        words = [expand_words(without_tags(prompt), base.embeddings) for prompt in prompts]
        return max(count_windows(prompt, base.prompt_encoders) for prompt in words)


def split_batches(windows: Sequence[int], batch_size: int) -> list[range]:
    """Neighbouring pictures that are computed together: at most `batch_size`, whose prompts fill as many windows."""
    batches: list[range] = []
    for index, found in enumerate(windows):
        last = batches[-1] if batches else range(0)
        if last and len(last) < batch_size and windows[last.start] == found:
            batches[-1] = range(last.start, index + 1)
        else:
            batches.append(range(index, index + 1))
    return batches


def read_prompts(prompt: object, num_images: object) -> list[str]:
    """The prompt of each picture, from one for all of them or one each.

    Raises:
        InputError: for what is no text, or no number of pictures.
    """
    if not isinstance(num_images, SupportsIndex):
        raise InputError(f"num_images is {num_images!r}; expected a whole number", field="num_images")
    if isinstance(prompt, str):
        return [prompt] * operator.index(num_images)
    given = list(cast("Sequence[object]", prompt)) if isinstance(prompt, Sequence) else None
    found = [one for one in given or () if isinstance(one, str)]
    if given is None or len(found) < len(given):
        raise InputError(f"prompt is {prompt!r:.80}; expected a text, or one for each picture", field="prompt")
    return found


def read_size(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """Width and height in pixels, from these or the side of a square.

    Raises:
        InputError: when it is neither.
    """
    if size is None:
        return None
    try:
        sides = [operator.index(side) for side in ((size, size) if isinstance(size, SupportsIndex) else size)]
        width, height = sides
    except (TypeError, ValueError):
        expected = "expected a whole number of pixels, or (width, height)"
        raise InputError(f"size is {size!r:.80}; {expected}", field="size") from None
    return width, height


def read_seeds(seed: SupportsIndex | Sequence[SupportsIndex], count: int) -> list[int]:
    """The seed of each picture, from one for the first of them or one each; NumPy's integers are integers too.

    Raises:
        InputError: when there are not as many, or one is no integer.
    """
    try:
        if isinstance(seed, SupportsIndex) and getattr(seed, "ndim", 0) == 0:
            return [operator.index(seed) + i for i in range(count)]
        seeds = [operator.index(one) for one in cast("Sequence[SupportsIndex]", seed)]
    except TypeError:
        raise InputError(f"seed is {seed!r:.80}; expected a whole number, or one for each picture", field="seed") from None
    if len(seeds) != count:
        raise InputError(f"{len(seeds)} seeds for {count} pictures; give one seed, or one each", field="seed")
    return seeds


def count_steps(on_step: Callable[[int, int], None], before: int, pictures: int, count: int) -> Callable[[int, int], None]:
    """Turn the steps of one batch into steps of the whole call, counted picture by picture."""
    return lambda step, steps: on_step(before * steps + step * pictures, count * steps)
