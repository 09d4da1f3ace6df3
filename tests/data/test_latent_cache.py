"""The cache gives what it was given, and nothing that belongs to other data."""

import copy
import json
import multiprocessing
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.random import default_rng
from PIL import Image

from tests.tiny import build_base, count_calls
from zeroconv.data import Pair
from zeroconv.data.latent_cache import LatentCache, prepare_folder, read_key
from zeroconv.images import normalize, to_tensor
from zeroconv.stable_diffusion import StableDiffusion

NAMES = ["one", "two", "three"]
SIZE = (40, 32)


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    rng = default_rng(0)
    images = [Image.fromarray(rng.integers(0, 256, (SIZE[1], SIZE[0], 3), dtype="uint8")) for _ in NAMES]
    return [Pair(name, image, name[:2]) for name, image in zip(NAMES, images, strict=True)]


def arrays(folder: Path, base: StableDiffusion, count: int = 3, size: tuple[int, int] = SIZE) -> LatentCache:
    return LatentCache(folder / "cache", base, count, size)


def test_rows_are_the_encoders_own_in_half_precision(base: StableDiffusion, pairs: list[Pair], tmp_path: Path) -> None:
    latents, text = arrays(tmp_path, base).read([2, 0], [pairs[2], pairs[0]])
    images = normalize(torch.stack([to_tensor(pairs[i].image) for i in (2, 0)]))
    assert latents.shape == (2, 4, 4, 5) and latents.dtype == text.hidden_states.dtype == torch.float32 and text.pooled is None
    assert torch.equal(latents, torch.cat([base.encode_images(image[None]) for image in images]).half().float())
    alone = torch.cat([base.encode_text([caption]).hidden_states for caption in ("th", "on")])
    assert torch.equal(text.hidden_states, alone.half().float())


def test_second_time_the_same_and_nothing_is_encoded(base: StableDiffusion, pairs: list[Pair], tmp_path: Path) -> None:
    first = arrays(tmp_path, base).read([0, 1, 2], pairs)
    again = arrays(tmp_path, base)
    calls = count_calls(base.vae.encoder)
    second = again.read([1, 1, 0], [pairs[1], pairs[1], pairs[0]])
    assert calls == []
    for one, other in ((first[0], second[0]), (first[1].hidden_states, second[1].hidden_states)):
        assert torch.equal(one[[1, 1, 0]], other)


def test_a_sample_twice_in_a_batch_that_is_not_filled(base: StableDiffusion, pairs: list[Pair], tmp_path: Path) -> None:
    latents, _ = arrays(tmp_path, base).read([1, 1], [pairs[1], pairs[1]])
    assert torch.equal(latents[0], latents[1])


@pytest.mark.parametrize("other", ["count", "size", "key", "no key", "damaged key", "version 1"])
def test_other_data_empty_it(base: StableDiffusion, pairs: list[Pair], tmp_path: Path, other: str) -> None:
    arrays(tmp_path, base).read([0, 1, 2], pairs)
    key, changed = tmp_path / "cache" / "key.json", dict[str, Any]()
    match other:
        case "count":
            changed["count"] = 4
        case "size":
            changed["size"] = (32, 40)
        case "key":
            key.write_text(json.dumps({"key": "of another base"}))
        case "no key":
            key.unlink()
        case "version 1":
            (tmp_path / "cache" / "digests.npy").rename(tmp_path / "cache" / "filled.npy")
            key.write_text(json.dumps({"key": "0" * 64}))
        case _:
            key.write_text("[1]")
    cache = arrays(tmp_path, base, **changed)
    assert not cache.filled.any() and len(cache.filled) == changed.get("count", 3)
    assert not (tmp_path / "cache" / "filled.npy").exists()


@pytest.mark.parametrize("change", ["picture", "caption"])
def test_a_pair_replaced_under_its_old_name_is_encoded_anew(
    base: StableDiffusion, pairs: list[Pair], tmp_path: Path, change: str
) -> None:
    before = arrays(tmp_path, base).read([0, 1, 2], pairs)
    other = replace(pairs[1], image=pairs[0].image) if change == "picture" else replace(pairs[1], caption="new")
    cache, calls = arrays(tmp_path, base), count_calls(base.vae.encoder)
    latents, text = cache.read([0, 1, 2], [pairs[0], other, pairs[2]])
    assert calls == ([1] if change == "picture" else [])  # the row that changed, and no other
    wanted = base.encode_images(normalize(to_tensor(other.image)[None])).half().float()
    assert torch.equal(latents[1], wanted[0])
    assert torch.equal(text.hidden_states[1], base.encode_text([other.caption]).hidden_states.half().float()[0])
    for row in (0, 2):
        assert torch.equal(latents[row], before[0][row]) and torch.equal(text.hidden_states[row], before[1].hidden_states[row])
    assert torch.equal(arrays(tmp_path, base).read([1], [other])[0], latents[1:2])


def test_samples_in_another_order_are_not_mistaken_for_each_other(
    base: StableDiffusion, pairs: list[Pair], tmp_path: Path
) -> None:
    forward, _ = arrays(tmp_path, base).read([0, 1, 2], pairs)
    backward, _ = arrays(tmp_path, base).read([0, 1, 2], pairs[::-1])
    assert torch.allclose(backward.flip(0), forward, atol=1e-3)


def test_another_base_empties_it(base: StableDiffusion, pairs: list[Pair], tmp_path: Path) -> None:
    arrays(tmp_path, base).read([0, 1, 2], pairs)
    assert arrays(tmp_path, base).filled.all()
    changed = build_base(tmp_path / "base")
    with torch.no_grad():
        next(changed.vae.parameters()).view(-1)[0] += 1e-3
    assert not arrays(tmp_path, changed).filled.any()


def test_pooled_text_is_kept_beside_the_states(xl: StableDiffusion, pairs: list[Pair], tmp_path: Path) -> None:
    alone = [xl.encode_text([caption]).map(lambda tensor: tensor.half().float()) for caption in ("th", "on")]
    states, pooled = (
        torch.cat([one.hidden_states for one in alone]),
        torch.cat([one.pooled for one in alone if one.pooled is not None]),
    )
    for cache in (arrays(tmp_path, xl), arrays(tmp_path, xl)):  # the second one reads what the first one wrote
        _, text = cache.read([2, 0], [pairs[2], pairs[0]])
        assert text.pooled is not None and text.pooled.dtype == torch.float32
        assert torch.equal(text.hidden_states, states) and torch.equal(text.pooled, pooled)


@pytest.mark.parametrize("change", ["second encoder", "empty prompt"])
def test_another_meaning_of_the_text_empties_it(xl: StableDiffusion, pairs: list[Pair], tmp_path: Path, change: str) -> None:
    arrays(tmp_path, xl).read([0, 1, 2], pairs)
    assert arrays(tmp_path, xl).filled.all()
    other = replace(xl)
    if change == "empty prompt":
        other.force_zeros_for_empty_prompt = False
    else:
        other.text_encoder_2 = copy.deepcopy(xl.text_encoder_2)
        with torch.no_grad():
            next(other.text_encoder_2.parameters()).view(-1)[0] += 1e-3
    assert not arrays(tmp_path, other).filled.any()


@pytest.mark.parametrize("change", ["scaling_factor", "shift_factor", "vocabulary", "padding token", "window"])
def test_another_scale_or_tokenizer_empties_it(base: StableDiffusion, pairs: list[Pair], tmp_path: Path, change: str) -> None:
    arrays(tmp_path, base).read([0, 1, 2], pairs)
    other = replace(base, vae=copy.deepcopy(base.vae), tokenizer=copy.deepcopy(base.tokenizer))
    match change:
        case "vocabulary":
            other.tokenizer.add_tokens(["zebra"])
        case "padding token":
            other.tokenizer.pad_token = "!"
        case "window":
            other.tokenizer.model_max_length -= 1
        case _:
            other.vae.register_to_config(**{change: 0.5})
    other.encode_text(["on", "two"])  # which the tokenizer remembers, and which changes nothing
    base.encode_text(["on", "two"])
    assert arrays(tmp_path, base).filled.all()
    assert not arrays(tmp_path, other).filled.any()


def test_a_row_is_disowned_on_the_disk_before_it_is_overwritten(
    base: StableDiffusion, pairs: list[Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = arrays(tmp_path, base)
    cache.read([0, 1, 2], pairs)
    old, flush = cache.latents[1].copy(), np.memmap.flush
    flushed: list[tuple[bool, bool, bool]] = []

    def note(array: np.memmap) -> None:
        flushed.append(
            (
                array is cache.digests or array is cache.text_digests,
                bool(cache.filled[1]),
                bool((cache.latents[1] == old).all()),
            )
        )
        flush(array)

    monkeypatch.setattr(np.memmap, "flush", note)
    cache.read([1], [pairs[0]])
    assert flushed[:2] == [(True, False, True)] * 2 and flushed[-2:] == [(True, True, False)] * 2
    assert len(flushed) > 4 and not any(digests or filled for digests, filled, _ in flushed[2:-2])


def prepare(folder: Path, key: str, start: Any) -> None:
    """What one of several processes does."""
    start.wait()
    prepare_folder(folder, key, {"digests": (4, 16), "latents": (4, 2, 2)})


@pytest.mark.parametrize("before", ["nothing", "another"])
def test_processes_that_begin_together_share_one(tmp_path: Path, before: str) -> None:
    folder, context = tmp_path / "run" / "cache", multiprocessing.get_context("fork")
    for key in "abc":
        if before == "nothing":
            shutil.rmtree(folder, ignore_errors=True)
        start = context.Barrier(4)
        processes = [context.Process(target=prepare, args=(folder, key, start)) for _ in range(4)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        assert [process.exitcode for process in processes] == [0] * 4
        assert read_key(folder) == key and sorted(file.name for file in folder.iterdir()) == [
            "digests.npy", "key.json", "latents.npy",
        ]  # fmt: skip
        assert [path.name for path in folder.parent.iterdir()] == ["cache"]


def test_a_cache_that_another_process_has_made_meanwhile_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, rename, shapes = tmp_path / "cache", Path.rename, {"digests": (4, 16), "latents": (4, 2, 2)}
    prepare_folder(folder, "old", shapes)

    def race(path: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "rename", rename)
        prepare_folder(folder, "new", shapes)
        np.load(folder / "latents.npy", mmap_mode="r+")[0] = 7
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", race)
    prepare_folder(folder, "new", shapes)
    assert (np.load(folder / "latents.npy")[0] == 7).all() and [path.name for path in tmp_path.iterdir()] == ["cache"]


def test_bits_do_not_depend_on_how_many_are_encoded_together(base: StableDiffusion, pairs: list[Pair], tmp_path: Path) -> None:
    together, texts = arrays(tmp_path / "a", base).read([0, 1, 2], pairs)
    cache = arrays(tmp_path / "b", base)  # as after a kill in the middle
    for i in (2, 0, 1):
        latents, text = cache.read([i], [pairs[i]])
        assert torch.equal(latents[0], together[i]) and torch.equal(text.hidden_states[0], texts.hidden_states[i])


@pytest.mark.parametrize("array", ["latents", "text"])
def test_a_damaged_row_is_encoded_anew(base: StableDiffusion, pairs: list[Pair], tmp_path: Path, array: str) -> None:
    before, texts = arrays(tmp_path, base).read([0, 1, 2], pairs)
    for damage in (0, np.nan):
        rows = np.load(tmp_path / "cache" / f"{array}.npy", mmap_mode="r+")
        rows[1].flat[0] = damage
        rows.flush()
        latents, text = arrays(tmp_path, base).read([0, 1, 2], pairs)
        assert torch.equal(latents, before) and torch.equal(text.hidden_states, texts.hidden_states)


@pytest.mark.parametrize("how", ["missing", "cut short"])
def test_a_missing_array_empties_it(base: StableDiffusion, pairs: list[Pair], tmp_path: Path, how: str) -> None:
    arrays(tmp_path, base).read([0, 1, 2], pairs)
    path = tmp_path / "cache" / "text.npy"
    if how == "missing":
        path.unlink()
    else:
        os.truncate(path, path.stat().st_size // 2)
    assert not arrays(tmp_path, base).filled.any()


def test_each_caption_of_a_pair_has_its_row(base: StableDiffusion, pairs: list[Pair], tmp_path: Path) -> None:
    both = [replace(pairs[0], caption=caption, captions=("on", "two words")) for caption in ("on", "two words")]
    cache = LatentCache(tmp_path / "cache", base, 3, SIZE, captions=2)
    cache.read([0, 0, 2], [*both, pairs[2]])
    calls, text_calls = count_calls(base.vae.encoder), count_calls(base.text_encoder)
    _, text = cache.read([0, 0], both[::-1])
    assert calls == text_calls == []
    for row, caption in enumerate(("two words", "on")):
        assert torch.equal(text.hidden_states[row], base.encode_text([caption]).hidden_states.half().float()[0])


def test_a_disk_without_room_is_said_before_anything_is_written(base: StableDiffusion, tmp_path: Path) -> None:
    count = shutil.disk_usage(tmp_path).free // (2 * 4 * 4 * 5)
    with pytest.raises(OSError, match=rf"cannot keep [\d,]+ MiB of latents and texts in {tmp_path}: No space left on device"):
        arrays(tmp_path, base, count)
    assert not list(tmp_path.iterdir())


def test_its_blocks_are_its_own(base: StableDiffusion, tmp_path: Path) -> None:
    arrays(tmp_path, base)
    for path in (tmp_path / "cache").glob("*.npy"):
        assert path.stat().st_blocks * 512 >= path.stat().st_size
