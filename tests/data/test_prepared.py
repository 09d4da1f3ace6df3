"""A prepared folder: the same bytes whoever made it and however often it was interrupted, and nothing that is out of date."""

import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import pairwise
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.data.prepared_folders import SIDE, content, draw, draw_map, prepare_small, write_pairs
from tests.tiny import build_base
from zeroconv import conditions
from zeroconv.data import Pair, open_pairs
from zeroconv.data.latent_cache import LatentCache
from zeroconv.data.prepared import PreparedCache, Progressed, verify
from zeroconv.data.prepared.encoders import open_encoders
from zeroconv.data.prepared.manifest import read_manifest, write_manifest
from zeroconv.data.prepared.shard_file import ListedRow, Shard, read_shard, write_listing
from zeroconv.errors import InputError
from zeroconv.messages import Message, listen
from zeroconv.stable_diffusion import StableDiffusion

FIXED: dict[str, Any] = {"condition": "canny", "extract": {"low": 20, "high": 60}}


@pytest.fixture(scope="module", autouse=True)
def opened_once() -> Iterator[None]:
    """Encoders are opened once for all calls; nobody changes them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zeroconv.data.prepared.preparation.open_encoders", cache(open_encoders))
        yield


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("prepared") / "pairs", p3=["ab", "re", "ab"], p5="")


@pytest.fixture(scope="module")
def straight(pairs: Path, base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared by one process that nobody touched."""
    out = tmp_path_factory.mktemp("prepared") / "straight"
    assert prepare_small(pairs, out, base_folder, **FIXED).made == 3
    return out


@pytest.fixture
def copy(straight: Path, tmp_path: Path) -> Path:
    """The same folder, to be changed."""
    out = tmp_path / "copy"
    out.mkdir()
    for name, data in content(straight).items():
        (out / name).write_bytes(data)
    return out


@pytest.mark.parametrize("workers", [2, 3])
def test_any_number_of_workers_writes_the_same_bytes(
    workers: int, pairs: Path, straight: Path, base_folder: Path, tmp_path: Path
) -> None:
    prepare_small(pairs, tmp_path / "out", base_folder, workers=workers, **FIXED)
    assert content(tmp_path / "out") == content(straight)


@pytest.mark.slow
def test_processes_that_are_not_forked_write_them_too(pairs: Path, straight: Path, base_folder: Path, tmp_path: Path) -> None:
    prepare_small(pairs, tmp_path / "out", base_folder, workers=2, device="cpu:0", **FIXED)  # as a GPU's are started
    assert content(tmp_path / "out") == content(straight)


def die_at(renaming: int, before: bool) -> None:
    """End this process, as `kill -9` does, before or after a file takes its place."""
    count, rename = 0, os.replace

    def replace_or_die(*paths: Any) -> None:
        nonlocal count
        count += 1
        if count == renaming and before:
            os._exit(9)
        rename(*paths)
        if count == renaming:
            os._exit(9)

    os.replace = replace_or_die


def in_child(work: Any) -> int:
    """How a forked process ends that does something."""
    pid = os.fork()
    if not pid:
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize("before", [True, False])
def test_killed_at_every_file_and_gone_on_with_it_is_the_same(
    before: bool, pairs: Path, straight: Path, base_folder: Path, tmp_path: Path
) -> None:
    """Two manifests, and for each of three shards its numbers and its list."""
    for renaming in range(1, 9):
        out = tmp_path / str(renaming)

        def begin(renaming: int = renaming, out: Path = out) -> None:
            die_at(renaming, before)
            prepare_small(pairs, out, base_folder, **FIXED)

        assert in_child(begin) == 9
        done = prepare_small(pairs, out, base_folder, **FIXED)
        shards = (renaming - 1 - before) // 2  # that were whole
        assert done.made == 3 - min(3, max(0, shards))
        assert content(out) == content(straight), renaming


def test_again_nothing_is_made_and_nothing_is_written(copy: Path, pairs: Path, base_folder: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in copy.glob("shard-*")}
    assert prepare_small(pairs, copy, base_folder, workers=2, **FIXED).made == 0
    assert {path.name: path.stat().st_mtime_ns for path in copy.glob("shard-*")} == before


def test_rows_are_those_of_the_cache_that_training_fills(
    straight: Path, pairs: Path, base: StableDiffusion, tmp_path: Path
) -> None:
    found, filled = PreparedCache(straight), LatentCache(tmp_path / "cache", base, 8, (SIDE, SIDE), captions=3)
    data = open_pairs(pairs, "canny")
    for order in ([0, 7, 3], [5, 5, 1]):
        latents, text = found.read(order, [0, 0, 0])
        wanted, words = filled.read(order, [data[index] for index in order])
        assert torch.equal(latents, wanted) and torch.equal(text.hidden_states, words.hidden_states)
    for index in range(8):
        expected = conditions.extract("canny", data[index].image, low=20, high=60)
        assert found.read_map(index).tobytes() == expected.tobytes()


def test_sdxl_keeps_its_pooled_text(xl: StableDiffusion, xl_folder: Path, pairs: Path, tmp_path: Path) -> None:
    prepare_small(pairs, tmp_path / "out", xl_folder)
    _, text = PreparedCache(tmp_path / "out").read([5, 2], [0, 0])
    one = xl.encode_text([""])
    assert text.pooled is not None and one.pooled is not None and not text.pooled[0].any()  # SDXL's empty prompt is zeros
    assert torch.equal(text.pooled[1], xl.encode_text(["cc"]).pooled.half().float()[0])  # pyright: ignore


def test_every_caption_is_kept_and_each_text_once(straight: Path, base: StableDiffusion) -> None:
    found = PreparedCache(straight)
    assert [found.count_captions(index) for index in range(8)] == [1, 1, 1, 3, 1, 1, 1, 1]
    _, text = found.read([3, 3, 3], [0, 1, 2])
    for row, caption in enumerate(("ab", "re", "ab")):
        assert torch.equal(text.hidden_states[row], base.encode_text([caption]).hidden_states.half().float()[0])
    assert [len(found.find(3 * number)[0]["text"]) for number in range(3)] == [3, 4, 2]


@pytest.mark.parametrize("what", ["picture", "caption", "captions"])
def test_a_change_makes_its_shard_anew_and_no_other(what: str, straight: Path, base_folder: Path, tmp_path: Path) -> None:
    pairs, out = write_pairs(tmp_path / "pairs"), tmp_path / "out"
    prepare_small(pairs, out, base_folder, **FIXED)
    before = content(out)
    if what == "picture":
        draw(pairs / "4.png", 77)
    else:
        other = write_pairs(tmp_path / "other", p4="de" if what == "caption" else ["de", "ed"])
        (pairs / "metadata.jsonl").write_bytes((other / "metadata.jsonl").read_bytes())
    assert prepare_small(pairs, out, base_folder, **FIXED).made == 1
    changed = {name for name, data in content(out).items() if data != before[name]}
    assert changed == {"shard-00001.json", "shard-00001.safetensors", "manifest.json"}
    fresh = tmp_path / "fresh"
    prepare_small(pairs, fresh, base_folder, **FIXED)
    assert content(fresh) == content(out)


def test_files_that_only_became_newer_are_kept(base_folder: Path, tmp_path: Path) -> None:
    pairs, out = write_pairs(tmp_path / "pairs"), tmp_path / "out"
    prepare_small(pairs, out, base_folder)
    for path in pairs.glob("*.png"):
        os.utime(path, (1, 1))
    assert prepare_small(pairs, out, base_folder).made == 0
    assert json.loads((out / "shard-00000.json").read_text())["rows"][0]["stamp"][1] == 10**9


def test_a_data_set_that_grew_or_shrank_goes_on(base_folder: Path, tmp_path: Path) -> None:
    pairs, out = write_pairs(tmp_path / "pairs", 7), tmp_path / "out"
    prepare_small(pairs, out, base_folder)
    for count, made in ((10, 2), (5, 1)):
        write_pairs(pairs, count)
        assert prepare_small(pairs, out, base_folder).made == made
        prepare_small(pairs, tmp_path / str(count), base_folder)
        assert content(out).keys() == content(tmp_path / str(count)).keys()
        assert (out / "manifest.json").read_bytes() == (tmp_path / str(count) / "manifest.json").read_bytes()


def test_pairs_that_cannot_be_used_are_listed_and_all_others_kept(base_folder: Path, tmp_path: Path) -> None:
    pairs, out = write_pairs(tmp_path / "pairs"), tmp_path / "out"
    (pairs / "2.png").unlink()
    (pairs / "4.png").write_bytes((pairs / "4.png").read_bytes()[:60])
    draw(pairs / "6.png", 6, side=24)
    done = prepare_small(pairs, out, base_folder, max_broken=0.3, workers=2)
    assert [name for name, _ in done.broken] == ["2.png", "4.png", "6.png"]
    assert "no such file" in done.broken[0][1] and "6.png' is 24x24, others 16x16" in done.broken[2][1]
    found = PreparedCache(out)
    assert found.broken.keys() == {2, 4, 6} and verify(out).broken == 3
    assert found.read([5], [0])[0].any()
    draw(pairs / "4.png", 4)
    assert prepare_small(pairs, out, base_folder, max_broken=0.3).made == 1
    assert PreparedCache(out).broken.keys() == {2, 6}
    with pytest.raises(InputError, match=r"2 of 8 pairs cannot be used, 1 may be left out \(first: .*: `zeroconv data check`"):
        prepare_small(pairs, out, base_folder, max_broken=0.1)


def test_numbers_that_are_not_finite_are_a_broken_pair(
    pairs: Path, base_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = StableDiffusion.encode_images

    def poisoned(self: StableDiffusion, images: torch.Tensor) -> torch.Tensor:
        found = whole(self, images)
        return found * float("inf") if images.flatten()[0] == poison else found

    picture = np.asarray(Image.open(pairs / "1.png").convert("RGB"))
    poison = torch.tensor(picture[0, 0, 0] / np.float32(255)).float() * 2 - 1
    monkeypatch.setattr(StableDiffusion, "encode_images", poisoned)
    done = prepare_small(pairs, tmp_path / "out", base_folder)
    assert done.broken == [("1.png", "pair '1.png': the encoders give numbers that are not finite in half precision")]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"condition": "depth", "extract": {"method": "tiny"}}, "condition 'canny', now 'depth'"),
        ({"extract": {"low": 20, "high": 61}}, "extract {'low': 20, 'high': 60}, now {'low': 20, 'high': 61}"),
        ({"shard_size": 4}, "shard_size 3, now 4"),
    ],
)
def test_other_settings_are_refused_by_name(
    changed: dict[str, Any], message: str, copy: Path, pairs: Path, base_folder: Path
) -> None:
    before = content(copy)
    with pytest.raises(InputError, match=r"was prepared with .* is asked for: choose another --out, or --fresh") as caught:
        prepare_small(pairs, copy, base_folder, **{**FIXED, **changed})
    assert message in str(caught.value) and "\n" not in str(caught.value) and content(copy) == before


def test_another_base_or_source_is_refused_and_fresh_begins_anew(
    copy: Path, pairs: Path, base_folder: Path, tmp_path: Path
) -> None:
    other = build_base(tmp_path / "other")
    with torch.no_grad():
        other.vae.encoder.conv_in.bias += 1
    other.vae.save_pretrained(tmp_path / "other" / "vae")
    with pytest.raises(InputError, match=r"was prepared with another autoencoder \(.*random\) than that of .*other"):
        prepare_small(pairs, copy, tmp_path / "other", **FIXED)
    with pytest.raises(InputError, match=r"was prepared with source .* now 'world:8' is asked for"):
        prepare_small("world:8", copy, base_folder, **FIXED)
    (copy / "mine.txt").write_text("kept")
    prepare_small(pairs, copy, tmp_path / "other", fresh=True)
    assert (copy / "mine.txt").exists() and PreparedCache(copy).settings.base == str(tmp_path / "other")


def test_any_byte_that_changes_is_noticed(copy: Path, pairs: Path, base_folder: Path, straight: Path) -> None:
    """By `verify` always; by reading, unless it belongs to nothing that is read."""
    rng, whole = np.random.default_rng(0), [PreparedCache(straight).read([index], [0])[0] for index in range(8)]
    for turn in range(60):
        path = copy / f"shard-{turn % 3:05d}.safetensors"
        data = bytearray(path.read_bytes())
        place = int(rng.integers(len(data)))
        data[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(data))
        assert verify(copy).problems == [f"{path} is damaged"]
        found, noticed = PreparedCache(copy), 0
        for index in range(3 * (turn % 3), min(8, 3 * (turn % 3) + 3)):
            try:
                assert torch.equal(found.read([index], [0])[0], whole[index])
                found.read_map(index)
                found.read([index], [found.count_captions(index) - 1])
            except InputError as error:
                noticed += 1
                assert str(error) == f"{path} is damaged (pair {index}): the same `zeroconv data prepare` again makes it whole"
        assert noticed or place < 1000 or turn % 3 == 1  # white space of the header, the middle one of three captions
        path.write_bytes((straight / path.name).read_bytes())
    path = copy / "shard-00001.safetensors"
    path.write_bytes((straight / "shard-00000.safetensors").read_bytes())
    with pytest.raises(InputError, match=r"shard-00001\.safetensors is damaged"):
        PreparedCache(copy).read([3], [0])
    assert prepare_small(pairs, copy, base_folder, **FIXED).made == 1
    assert content(copy) == content(straight)


@pytest.mark.parametrize("how", ["missing", "cut short", "list missing", "list damaged"])
def test_a_shard_that_is_not_whole_is_made_again(how: str, copy: Path, pairs: Path, base_folder: Path, straight: Path) -> None:
    path = copy / ("shard-00002.json" if how.startswith("list") else "shard-00002.safetensors")
    if how.endswith("missing"):
        path.unlink()
    elif how == "cut short":
        os.truncate(path, path.stat().st_size // 2)
    else:
        path.write_text("[]")
    assert len(verify(copy).problems) == 1
    assert prepare_small(pairs, copy, base_folder, **FIXED).made == 1
    assert content(copy) == content(straight)


@pytest.mark.parametrize("text", ["", "[1]", '{"format": "zeroconv prepared pairs", "version": 1}'])
def test_a_damaged_manifest_is_one_line(text: str, copy: Path) -> None:
    (copy / "manifest.json").write_text(text)
    with pytest.raises(InputError, match=r"manifest\.json is damaged: prepare it again with --fresh"):
        PreparedCache(copy)


@pytest.mark.parametrize("name", ["manifest.json", "shard-00000.json"])
def test_files_of_another_program_are_never_touched(name: str, pairs: Path, base_folder: Path, tmp_path: Path) -> None:
    (tmp_path / name).write_text('{"name": "a page"}')
    for fresh in (False, True):
        with pytest.raises(InputError, match=rf"{name} is another program's: name another folder"):
            prepare_small(pairs, tmp_path, base_folder, fresh=fresh)
    assert content(tmp_path) == {name: b'{"name": "a page"}'}
    if name == "manifest.json":
        with pytest.raises(InputError, match="another program's"):
            PreparedCache(tmp_path)


def test_fresh_removes_nothing_before_all_is_known_to_be_usable(copy: Path, pairs: Path, tmp_path: Path) -> None:
    before = content(copy)
    for refused in (
        lambda: prepare_small(pairs, copy, "no-such-base", fresh=True),
        lambda: prepare_small(tmp_path / "nowhere", copy, "tiny", fresh=True),
        lambda: prepare_small(pairs, copy, "tiny", condition="canny", extract={"lwo": 1}, fresh=True),
    ):
        with pytest.raises((InputError, FileNotFoundError)):
            refused()
    assert content(copy) == before


def test_a_folder_of_a_later_version_or_not_finished_is_refused(copy: Path) -> None:
    values = json.loads((copy / "manifest.json").read_text())
    for change, message in (
        ({"version": 3}, "has version 3; this zeroconv reads 1 and 2"),
        ({"complete": False}, "is not finished"),
    ):
        (copy / "manifest.json").write_text(json.dumps({**values, **change}))
        with pytest.raises(InputError, match=message):
            PreparedCache(copy)


def test_what_is_said_of_a_million_pairs_is_read_again(
    copy: Path, pairs: Path, base_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many bytes as long captions of the largest shard have, and reasons for a tenth of a million pairs."""
    rows = [ListedRow(f"{i}.png", ["a house " * 1000], "0" * 64, [i, i]) for i in range(4096)]  # 65,536 of 500 letters
    shard = Shard(rows, "0" * 64, "1" * 64, 10**10, "2" * 64)
    write_listing(tmp_path, 7, shard)
    assert (tmp_path / "shard-00007.json").stat().st_size > 30 * 2**20
    assert read_shard(tmp_path, 7) == shard
    settings, entries = read_manifest(copy)
    assert entries is not None
    reasons = {str(i): f"the picture of pair '{i}' is damaged: {'no room ' * 400}" for i in range(10_000)}
    whole = [replace(entries[0], broken=reasons), *entries[1:]]
    write_manifest(tmp_path, settings, whole)
    assert (tmp_path / "manifest.json").stat().st_size > 30 * 2**20
    assert read_manifest(tmp_path) == (settings, whole)
    monkeypatch.setattr("zeroconv.data.prepared.json_file.ROWS_BYTES", 500)
    with pytest.raises(InputError, match=r"would have [\d,]+ bytes of names, captions and reasons.*--shard-size"):
        prepare_small(pairs, tmp_path / "more", base_folder)


def test_maps_that_training_draws_are_not_kept_and_it_is_said(pairs: Path, base_folder: Path, tmp_path: Path) -> None:
    told: list[Message] = []
    with listen(told.append):
        prepare_small(pairs, tmp_path / "out", base_folder, condition="canny", extract={"low": 20})
    assert [message.code for message in told] == ["prepare.drawn-maps"]
    assert "training draws high of canny anew at every visit" in told[0].text and "--set high=…" in told[0].text
    found = PreparedCache(tmp_path / "out")
    assert not found.has_maps("canny", {"low": 20}) and "maps" not in found.find(0)[0]


def test_ready_maps_are_kept_as_they_are(base_folder: Path, tmp_path: Path) -> None:
    pairs, out = write_pairs(tmp_path / "pairs", maps=True), tmp_path / "out"
    with listen(lambda _: None):
        prepare_small(pairs, out, base_folder, condition="canny")
    found = PreparedCache(out)
    assert found.has_maps("canny", {}) and not found.has_maps("canny", {"low": 1}) and not found.has_maps("depth", {})
    data = open_pairs(pairs, "canny")
    assert all(found.read_map(index).tobytes() == data[index].maps["canny"].tobytes() for index in range(8))
    draw_map(pairs / "map-7.png", 500)
    with listen(lambda _: None):
        assert prepare_small(pairs, out, base_folder, condition="canny").made == 1


def test_a_disk_without_room_is_said_before_anything_is_written(
    pairs: Path, base_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 2**20}))
    with pytest.raises(OSError, match=r"out needs about 0 MB, and its disk has 1 MB free"):
        prepare_small(pairs, tmp_path / "out", base_folder, **FIXED)
    assert not (tmp_path / "out").exists()


def test_a_worker_that_is_killed_is_one_line_and_the_next_call_goes_on(
    pairs: Path, base_folder: Path, straight: Path, tmp_path: Path
) -> None:
    def kill_one(state: Progressed) -> None:
        if state.done == 4:
            os.kill(active_children()[0].pid or 0, signal.SIGKILL)

    out = tmp_path / "out"
    with pytest.raises(OSError, match=r"a worker process died \(exit code -9\): the same command goes on where it stopped"):
        prepare_small(pairs, out, base_folder, workers=2, report=kill_one, **FIXED)
    assert not active_children()
    prepare_small(pairs, out, base_folder, workers=2, **FIXED)
    assert content(out) == content(straight)


def test_workers_end_when_their_parent_is_killed(pairs: Path, base_folder: Path, tmp_path: Path) -> None:
    pids = tmp_path / "pids"

    def begin() -> None:
        def note(state: Progressed) -> None:
            if state.done == 2:
                pids.write_text(" ".join(str(one.pid) for one in active_children()))
                os._exit(9)

        prepare_small(pairs, tmp_path / "out", base_folder, workers=2, report=note, **FIXED)

    assert in_child(begin) == 9
    deadline = time.monotonic() + 20
    alive = [int(word) for word in pids.read_text().split()]
    while alive and time.monotonic() < deadline:
        alive = [pid for pid in alive if Path(f"/proc/{pid}").exists() and state_of(pid) != "Z"]
        time.sleep(0.05)
    assert not alive


def state_of(pid: int) -> str:
    """How a process is, by one letter."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def test_progress_counts_every_pair(pairs: Path, base_folder: Path, tmp_path: Path) -> None:
    states: list[Progressed] = []
    prepare_small(pairs, tmp_path / "out", base_folder, report=states.append)
    assert [state.done for state in states if not state.bytes] == [1, 2, 3] and states[-1].done == states[-1].total == 8
    assert all(one.done <= other.done for one, other in pairwise(states)) and states[-1].rate > 0


def test_scenes_of_the_tiny_world_are_prepared_too(base_folder: Path, tmp_path: Path) -> None:
    told: list[Message] = []
    with listen(told.append):
        done = prepare_small("world:2", tmp_path / "out", base_folder, condition="depth")
    assert done.pairs == 2 and [message.code for message in told] == ["prompt.cut"]
    assert told[0].text.startswith("world-000000000: the prompt has 82 tokens") and told[0].text.endswith("(2 such pairs)")
    assert prepare_small("world:2", tmp_path / "out", base_folder, condition="depth").made == 0
    found = PreparedCache(tmp_path / "out")
    pair: Pair = open_pairs("world:2", "depth")[1]
    assert found.read_map(1).tobytes() == pair.maps["depth"].tobytes() and found.size == (128, 128)
