"""Where a run finds the latents and texts of its pairs: prepared, kept together with other runs, or in its own folder."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from zeroconv.data import Pairs
from zeroconv.data.latent_cache import LatentCache, encoder_fingerprint
from zeroconv.data.prepared import PreparedCache, is_prepared
from zeroconv.data.prepared.comparison import check_pairs
from zeroconv.messages import Message, tell
from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.training.config.groups import DataConfig

__all__ = ["open_cache", "open_prepared"]


def open_prepared(data: DataConfig, pairs: Pairs) -> PreparedCache | None:
    """The prepared folder of the settings; None where there is none.

    Raises:
        InputError: when it is damaged, not finished, or was made from other pairs.
    """
    if data.cache is None or not is_prepared(data.cache):
        return None
    found = PreparedCache(data.cache)
    check_pairs(found, pairs)
    return found


def open_cache(
    folder: Path | None,
    own: Path,
    base: StableDiffusion,
    names: Sequence[str],
    size: tuple[int, int],
    captions: int,
    views: int | None = None,
) -> LatentCache:
    """A cache that is filled while pairs are met.

    Args:
        folder: in which runs keep theirs together, each kind of rows in a folder of its own; None for none.
        own: in the run's folder, taken where there is none.
        base: encodes pictures and prompts.
        names: of the pairs.
        size: width and height of the pictures in pixels.
        captions: how many captions a pair has at most.
        views: rows of latents for each pair, as in `LatentCache`.

    Raises:
        OSError: when the disk has no room for all rows.
    """
    if folder is not None:
        key = encoder_fingerprint(base, base.encode_text([""]), len(names), size)
        content = [key, captions, list(names), *([] if views is None else [views])]
        listed = hashlib.sha256(json.dumps(content).encode()).hexdigest()
        own = folder / listed[:16]
        text = f"{folder} is no prepared folder: latents and texts are kept there as runs need them"
        tell(Message(text, "data.shared-cache", "info"))
    return LatentCache(own, base, len(names), size, captions, views)
