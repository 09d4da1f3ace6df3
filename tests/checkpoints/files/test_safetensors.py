"""Weight files: what was written comes back bit by bit, and a hostile or broken file costs nothing."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.work import little_work
from zeroconv.checkpoints import read_safetensors, write_safetensors

TYPES = [
    torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int32, torch.int16, torch.int8,
    torch.uint8, torch.bool,
]  # fmt: skip


def write_raw(path: Path, header: bytes | dict[str, Any], data: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def entry(begin: Any, end: Any, shape: Any, dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def same_bits(a: Tensor, b: Tensor) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.numpy(force=True).tobytes() == b.numpy(force=True).tobytes()


@given(st.lists(st.tuples(st.sampled_from(TYPES), st.lists(st.integers(0, 4), max_size=4)), max_size=4), st.integers(0, 99))
def test_round_trip_is_bit_exact(
    tmp_path_factory: pytest.TempPathFactory, kinds: list[tuple[torch.dtype, list[int]]], seed: int
) -> None:
    path = tmp_path_factory.mktemp("files") / "a.safetensors"
    drawn = torch.Generator().manual_seed(seed)
    tensors = {f"t.{i}": (torch.randn(shape, generator=drawn) * 9).to(dtype) for i, (dtype, shape) in enumerate(kinds)}
    write_safetensors(path, tensors)
    back, theirs = read_safetensors(path), safetensors.torch.load_file(path)
    assert back.keys() == theirs.keys() == tensors.keys()
    for name, tensor in tensors.items():
        bits = torch.uint8 if tensor.dtype == torch.bool else tensor.dtype
        assert back[name].dtype == tensor.dtype
        view = {torch.bfloat16: torch.int16}.get(bits, bits)
        assert same_bits(back[name].view(view), tensor.view(view))
        assert torch.equal(theirs[name], tensor)


def test_not_a_number_infinity_and_minus_zero_survive(tmp_path: Path) -> None:
    odd = torch.tensor([float("nan"), float("inf"), -0.0, 1e-45])
    write_safetensors(tmp_path / "a.safetensors", {"odd": odd, "turned": torch.arange(6.0).view(2, 3).T})
    back = read_safetensors(tmp_path / "a.safetensors")
    assert same_bits(back["odd"], odd)
    assert torch.equal(back["turned"], torch.arange(6.0).view(2, 3).T)


def test_a_million_tensors_are_refused_quickly(tmp_path: Path) -> None:
    one = b'"%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},'
    many = [b"".join(one % i for i in range(count)) for count in (400_000, 100_001)]
    for text in many:
        path = write_raw(tmp_path / "many", b"{" + text[:-1] + b"}")
        with little_work(), pytest.raises(ValueError, match=r"announces more than 100000 tensors; refused$"):
            read_safetensors(path)
    million = struct.pack("<Q", 60_000_000) + bytes(60_000_000)
    (tmp_path / "more").write_bytes(million)
    with pytest.raises(ValueError, match="header length 60000000"):
        read_safetensors(tmp_path / "more")


HOSTILE: dict[str, tuple[bytes | dict[str, Any], bytes]] = {
    "ends after the file": ({"a": entry(0, 16, [4])}, bytes(12)),
    "begins before the file": ({"a": entry(-4, 0, [1])}, bytes(4)),
    "begins after its end": ({"a": entry(8, 4, [1])}, bytes(8)),
    "shape larger than its bytes": ({"a": entry(0, 4, [1000, 1000])}, bytes(4)),
    "shape smaller than its bytes": ({"a": entry(0, 8, [1])}, bytes(8)),
    "another type": ({"a": entry(0, 4, [1], "F64")}, bytes(4)),
    "an unknown type": ({"a": entry(0, 4, [1], "F31")}, bytes(4)),
    "a type that is no word": ({"a": entry(0, 4, [1], ["F32"])}, bytes(4)),
    "a negative side": ({"a": entry(0, 4, [-1, -1])}, bytes(4)),
    "a side that is a word": ({"a": entry(0, 4, ["a" * 1000, 10**12])}, bytes(4)),
    "a side that is no integer": ({"a": entry(0, 4, [1.0])}, bytes(4)),
    "a side beyond every memory": ({"a": entry(0, 4, [2**80])}, bytes(4)),
    "a million sides": ({"a": entry(0, 4, [2**62] * 1_000_000)}, bytes(4)),
    "three offsets": ({"a": {**entry(0, 4, [1]), "data_offsets": [0, 4, 8]}}, bytes(8)),
    "offsets that are words": ({"a": entry("0", "4", [1])}, bytes(4)),
    "no shape": ({"a": {"dtype": "F32", "data_offsets": [0, 4]}}, bytes(4)),
    "overlapping tensors": ({"a": entry(0, 8, [2]), "b": entry(4, 12, [2])}, bytes(12)),
    "a hole between tensors": ({"a": entry(0, 4, [1]), "b": entry(8, 12, [1])}, bytes(12)),
    "bytes of no tensor": ({"a": entry(0, 4, [1])}, bytes(12)),
    "entry that is no object": ({"a": 3}, b""),
    "header that is a list": (b"[]", b""),
    "header that is a number": (b"7", b""),
    "header that is no JSON": (b"{nonsense", b""),
    "header that is no text": (b"\xff\xfe\x00", b""),
    "brackets without end": (b"[" * 500_000, b""),
    "a number without end": (b'{"a":' + b"9" * 10_000 + b"}", b""),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_headers_that_lie_are_one_line(name: str, tmp_path: Path) -> None:
    path = write_raw(tmp_path / "a.safetensors", *HOSTILE[name])
    with little_work(), pytest.raises(ValueError, match=r"a\.safetensors") as caught:
        read_safetensors(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < len(str(path)) + 300


@pytest.mark.parametrize("kept", [0, 1, 7, 8, 20, -1])
def test_a_file_that_was_cut_off_is_one_line(kept: int, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_safetensors(path, {"a": torch.arange(100.0)})
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"^[^\n]*a\.safetensors[^\n]*$"):
        read_safetensors(path)


def test_a_file_of_another_kind_or_none_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "pickle.pth").write_bytes(b"PK\x03\x04" + bytes(1000))
    with pytest.raises(ValueError, match=r"pickle\.pth is a PyTorch pickle, not a safetensors file"):
        read_safetensors(tmp_path / "pickle.pth")
    for nothing in (tmp_path / "nothing", tmp_path):
        with pytest.raises(FileNotFoundError, match=r"^no weight file at "):
            read_safetensors(nothing)


def test_a_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, old = tmp_path / "a.safetensors", {"a": torch.arange(4.0)}
    write_safetensors(path, old)
    with pytest.raises(ValueError, match=r"cannot hold numbers of the type torch\.complex128"):  # told after we began
        write_safetensors(path, {"b": torch.zeros(2, dtype=torch.complex128)})

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_safetensors(path, {"b": torch.zeros(2)})
    monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]
    assert torch.equal(read_safetensors(path)["a"], old["a"])


def test_tensors_that_share_memory_are_written_each(tmp_path: Path) -> None:
    whole = torch.arange(12.0).view(3, 4)
    tensors = {"whole": whole, "again": whole, "part": whole[1], "column": whole[:, 1], "nothing": whole[:0]}
    write_safetensors(tmp_path / "a.safetensors", tensors)
    read = read_safetensors(tmp_path / "a.safetensors")
    assert read.keys() == tensors.keys() and all(torch.equal(read[name], tensors[name]) for name in tensors)


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"^cannot write .*a\.safetensors: [^\n]*$"):
        write_safetensors(tmp_path / "nowhere" / "a.safetensors", {"a": torch.zeros(1)})


@pytest.mark.parametrize("kind", ["F4", "F6_E2M3", "F8_E8M0_NEW"])
def test_a_type_that_is_not_read_here_is_named(kind: str, tmp_path: Path) -> None:
    header = json.dumps({"a": {"dtype": kind, "shape": [4], "data_offsets": [0, 2]}}).encode()
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"\0\0")
    with pytest.raises(ValueError, match=f"holds tensors of type {kind}, which cannot be read here"):
        read_safetensors(tmp_path / "a.safetensors")


def test_a_gguf_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ValueError, match="is a GGUF file"):
        read_safetensors(tmp_path / "a.safetensors")
