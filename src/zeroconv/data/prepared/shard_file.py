"""One shard: a safetensors file of rows, and beside it a JSON file that vouches for it.

```
shard-00000.safetensors    latents (n, C, h, w) and text (u, N, D), float16: each text once, whichever rows bear it;
                           SDXL's pooled (u, P); maps, PNG files one after the other, where they are prepared
                           caption_texts (n, k): which text each caption of a row is, -1 behind its last
                           map_ends (n): where the PNG of a row ends
                           row_digests (n, 16), text_digests (u, 16): BLAKE2b of what stands in a row, or in a text
shard-00000.json           the rows, what they were made from, and the SHA-256 of the file above
```

The JSON is written last, so a shard without it is not there. A digest is compared whenever a row is read; the digests
themselves are hashed in the JSON and in the manifest.
"""

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from zeroconv.checkpoints.files.safetensors import write_safetensors
from zeroconv.data.prepared.json_file import read_rows_json, write_rows_json

__all__ = [
    "INDEX", "EncodedPair", "ListedRow", "Shard", "digest", "hash_file", "hash_index", "pack_rows", "png_bytes", "read_shard",
    "shard_name", "write_shard",
]  # fmt: skip

INDEX = ("caption_texts", "map_ends", "row_digests", "text_digests")
"""The tensors that say where everything is and what it must hash to."""
DIGEST_BYTES = 16


@dataclass(frozen=True)
class EncodedPair:
    """What is kept of a pair.

    Attributes:
        latents: (C, h, w) float16.
        texts: of each caption, in their order: "text" (N, D) and for SDXL "pooled" (P), float16.
        captions: the captions.
        png: its map as a PNG file; empty where maps are not prepared.
    """

    latents: Tensor
    texts: Sequence[Mapping[str, Tensor]]
    captions: Sequence[str]
    png: bytes = b""


@dataclass(frozen=True)
class ListedRow:
    """What a row was made from.

    Attributes:
        name: of the pair.
        captions: as the list has them.
        key: hash of its files' bytes.
        stamp: see `Stamp`.
        problem: why it cannot be used; then its numbers are zeros.
    """

    name: str
    captions: list[str]
    key: str
    stamp: list[int] | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Shard:
    """What a shard's JSON says.

    Attributes:
        rows: what each was made from.
        sha256: of the safetensors file.
        index_sha256: of its index; see `hash_index`.
        bytes: of the safetensors file.
        made_with: SHA-256 of the settings of the whole cache, so that no shard of another one is taken for its own.
    """

    rows: list[ListedRow]
    sha256: str
    index_sha256: str
    bytes: int
    made_with: str
    problems: dict[int, str] = field(init=False)

    def __post_init__(self) -> None:
        found = {place: row.problem for place, row in enumerate(self.rows) if row.problem is not None}
        object.__setattr__(self, "problems", found)


def shard_name(number: int) -> str:
    """The name of a shard's files, without their endings."""
    return f"shard-{number:05d}"


def pack_rows(pairs: Sequence[EncodedPair | None], shapes: Mapping[str, tuple[int, ...]], maps: bool) -> dict[str, Tensor]:
    """The tensors of a shard.

    Args:
        pairs: its rows; None for one that cannot be used.
        shapes: of a row's "latents" and of a "text", and "pooled" for SDXL.
        maps: whether maps are kept.
    """
    places: dict[str, int] = {}
    texts: list[Mapping[str, Tensor]] = []
    most = max((len(pair.captions) for pair in pairs if pair is not None), default=1)
    caption_texts = torch.full((len(pairs), most), -1, dtype=torch.int32)
    for row, pair in enumerate(pairs):
        for number, caption in enumerate(() if pair is None else pair.captions):
            assert pair is not None
            if caption not in places:
                places[caption] = len(texts)
                texts.append(pair.texts[number])
            caption_texts[row, number] = places[caption]
    tensors = {"caption_texts": caption_texts}
    tensors["latents"] = stack([None if pair is None else pair.latents for pair in pairs], shapes["latents"])
    for name in shapes.keys() - {"latents"}:
        tensors[name] = stack([text[name] for text in texts], shapes[name])
    pngs = [b"" if pair is None else pair.png for pair in pairs]
    if maps:
        tensors["maps"] = as_bytes(b"".join(pngs))
        tensors["map_ends"] = torch.tensor([len(png) for png in pngs], dtype=torch.int64).cumsum(0)
    rows = [digest(tensors["latents"][row], png) for row, png in enumerate(pngs)]
    tensors["row_digests"] = as_bytes(b"".join(rows)).view(-1, DIGEST_BYTES)
    kinds = [name for name in ("text", "pooled") if name in shapes]
    found = [digest(*(tensors[name][place] for name in kinds)) for place in range(len(texts))]
    tensors["text_digests"] = as_bytes(b"".join(found)).view(-1, DIGEST_BYTES)
    return tensors


def stack(rows: Sequence[Tensor | None], shape: tuple[int, ...]) -> Tensor:
    """Rows as one tensor in float16, zeros where there is none."""
    found = torch.zeros((len(rows), *shape), dtype=torch.float16)
    for place, row in enumerate(rows):
        if row is not None:
            found[place] = row
    return found


def as_bytes(data: bytes) -> Tensor:
    """Bytes as a tensor of uint8."""
    return torch.frombuffer(bytearray(data), dtype=torch.uint8) if data else torch.zeros(0, dtype=torch.uint8)


def digest(*parts: Tensor | bytes) -> bytes:
    """BLAKE2b of tensors and bytes, one after the other: 16 bytes."""
    content = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for part in parts:
        content.update(part if isinstance(part, bytes) else part.numpy().tobytes())
    return content.digest()


def hash_index(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of the tensors named in `INDEX`, their shapes too."""
    content = hashlib.sha256()
    for name in INDEX:
        if name in tensors:
            content.update(f"{name} {list(tensors[name].shape)}".encode() + tensors[name].numpy().tobytes())
    return content.hexdigest()


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes.

    Raises:
        OSError: when it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def png_bytes(image: Image.Image) -> bytes:
    """A map as a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def write_shard(folder: Path, number: int, tensors: Mapping[str, Tensor], rows: list[ListedRow], made_with: str) -> Shard:
    """Write a shard's two files, each whole or not at all, the JSON last.

    Raises:
        OSError: when one cannot be written, naming it.
        InputError: when the JSON is too long to be read again.
    """
    path = folder / f"{shard_name(number)}.safetensors"
    write_safetensors(path, tensors)
    shard = Shard(rows, hash_file(path), hash_index(tensors), path.stat().st_size, made_with)
    write_listing(folder, number, shard)
    return shard


def write_listing(folder: Path, number: int, shard: Shard) -> None:
    """Write the JSON of a shard.

    Raises:
        OSError: when it cannot be written, naming it.
        InputError: when it is too long to be read again.
    """
    values: dict[str, Any] = {key: value for key, value in asdict(shard).items() if key not in ("rows", "problems")}
    rows = [{key: value for key, value in asdict(row).items() if value is not None} for row in shard.rows]
    write_rows_json(folder / f"{shard_name(number)}.json", {**values, "rows": rows})


def read_shard(folder: Path, number: int) -> Shard | None:
    """What a shard's JSON says; None when it is not there, or cannot be read."""
    try:
        found = read_rows_json(folder / f"{shard_name(number)}.json")
        rows = [ListedRow(**row) for row in found.pop("rows")]
        return Shard(rows, **found)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
