"""What is kept of pairs, as the tensors of a shard."""

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from zeroconv.data.buckets import Size, View
from zeroconv.data.pair_views import may_mirror
from zeroconv.data.prepared.stored_views import latents_name, pack_views

__all__ = ["EncodedPair", "EncodedPicture", "digest", "pack_rows", "png_bytes"]

DIGEST_BYTES = 16


@dataclass(frozen=True)
class EncodedPicture:
    """What is kept of a picture, or of a view of it.

    Attributes:
        latents: (C, h, w) float16.
        png: its map as a PNG file; empty where maps are not prepared.
        view: which part it is; None where whole pictures are kept.
    """

    latents: Tensor
    png: bytes = b""
    view: View | None = None


@dataclass(frozen=True)
class EncodedPair:
    """What is kept of a pair.

    Attributes:
        pictures: the whole picture, or each of its views, once.
        texts: of each caption, in their order: "text" (N, D) and for SDXL "pooled" (P), float16.
        captions: the captions.
        parts: the views that show each part of the picture (`ViewSettings.of_pair`); none where whole pictures are kept.
    """

    pictures: Sequence[EncodedPicture]
    texts: Sequence[Mapping[str, Tensor]]
    captions: Sequence[str]
    parts: Sequence[Sequence[View]] = ()


def pack_rows(
    pairs: Sequence[EncodedPair | None], shapes: Mapping[str, tuple[int, ...]], maps: bool, crops: int | None = None
) -> dict[str, Tensor]:
    """The tensors of a shard.

    Args:
        pairs: its rows; None for one that cannot be used.
        shapes: of a row's "latents" and of a "text", and "pooled" for SDXL.
        maps: whether maps are kept.
        crops: parts of each picture whose views are kept; None where whole pictures are.
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
    if crops is not None:
        tensors |= pack_views([() if pair is None else pair.parts for pair in pairs], crops)
        tensors["may_mirror"] = torch.zeros(caption_texts.shape, dtype=torch.uint8)
        for row, pair in enumerate(pairs):
            for number, caption in enumerate(() if pair is None else pair.captions):
                tensors["may_mirror"][row, number] = may_mirror(caption)
        pictures = [picture for pair in pairs if pair is not None for picture in pair.pictures]
        tensors |= stack_buckets(pictures)
    else:
        pictures = [None if pair is None else pair.pictures[0] for pair in pairs]
        tensors["latents"] = stack([None if picture is None else picture.latents for picture in pictures], shapes["latents"])
    for name in shapes.keys() - {"latents"}:
        tensors[name] = stack([text[name] for text in texts], shapes[name])
    pngs = [b"" if picture is None else picture.png for picture in pictures]
    if maps:
        tensors["maps"] = as_bytes(b"".join(pngs))
        tensors["map_ends"] = torch.tensor([len(png) for png in pngs], dtype=torch.int64).cumsum(0)
    empty = torch.zeros(shapes["latents"], dtype=torch.float16)
    rows = [digest(*((empty, b"") if picture is None else (picture.latents, picture.png))) for picture in pictures]
    tensors["row_digests"] = as_bytes(b"".join(rows)).view(-1, DIGEST_BYTES)
    kinds = [name for name in ("text", "pooled") if name in shapes]
    found = [digest(*(tensors[name][place] for name in kinds)) for place in range(len(texts))]
    tensors["text_digests"] = as_bytes(b"".join(found)).view(-1, DIGEST_BYTES)
    return tensors


def stack_buckets(pictures: Sequence[EncodedPicture]) -> dict[str, Tensor]:
    """The latents of views, those of each bucket in a tensor of their own, (n, C, h, w)."""
    found: dict[Size, list[Tensor]] = {}
    for picture in pictures:
        assert picture.view is not None
        found.setdefault(picture.view.bucket, []).append(picture.latents)
    return {latents_name(bucket): torch.stack(latents) for bucket, latents in found.items()}


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


def png_bytes(image: Image.Image) -> bytes:
    """A map as a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
