"""The same pairs written in every layout that people's data has."""

import csv
import io
import json
import random
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from zeroconv.data import open_pairs
from zeroconv.data.layouts import read_rows
from zeroconv.errors import InputError
from zeroconv.messages import listen


@dataclass(frozen=True)
class Sample:
    """A picture and its map as PNG files, and a caption."""

    key: str
    picture: bytes
    drawn: bytes
    caption: str


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def samples(count: int, side: int = 16) -> list[Sample]:
    """Pictures of noise, maps of one random grey line each, and captions in several scripts."""
    rng, words = np.random.default_rng(7), ("a red house", "ein Fluß", "小さな猫", 'she said "no, thanks"')
    found: list[Sample] = []
    for i in range(count):
        lines = np.zeros((side, side, 3), np.uint8)
        lines[rng.integers(side)] = 255
        picture = Image.fromarray(rng.integers(0, 256, (side, side, 3), np.uint8))
        found.append(Sample(f"{i:04d}", png(picture), png(Image.fromarray(lines)), f"{words[i % len(words)]} {i}"))
    return found


def write_files(folder: Path, made: Sequence[Sample], pictures: str = "images", maps: str = "canny") -> None:
    for name in (pictures, maps):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for one in made:
        (folder / pictures / f"{one.key}.png").write_bytes(one.picture)
        (folder / maps / f"{one.key}.png").write_bytes(one.drawn)


def jsonl(folder: Path, made: Sequence[Sample]) -> str:
    write_files(folder, made)
    rows = [{"file_name": f"images/{s.key}.png", "text": s.caption, "canny": f"canny/{s.key}.png"} for s in made]
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return str(folder)


def tutorial(folder: Path, made: Sequence[Sample]) -> str:
    write_files(folder, made, "target", "source")
    rows = [{"source": f"source/{s.key}.png", "target": f"target/{s.key}.png", "prompt": s.caption} for s in made]
    (folder / "prompt.json").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return str(folder)


def table(folder: Path, made: Sequence[Sample]) -> str:
    write_files(folder, made)
    with (folder / "list.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "caption", "conditioning_image"])
        rows.writerows([f"images/{s.key}.png", s.caption, f"canny/{s.key}.png"] for s in made)
    return str(folder / "list.csv")


def tree(folder: Path, made: Sequence[Sample]) -> str:
    write_files(folder, made)
    for one in made:
        (folder / "images" / f"{one.key}.txt").write_text(one.caption, "utf-8")
    return str(folder)


def arrow_table(made: Sequence[Sample], structs: bool = True) -> Any:
    import pyarrow as pa

    def cells(files: Sequence[bytes]) -> list[Any]:
        return [{"bytes": one, "path": f"{s.key}.png"} for one, s in zip(files, made, strict=True)] if structs else list(files)

    captions = [s.caption for s in made]
    return pa.table({"image": cells([s.picture for s in made]), "canny": cells([s.drawn for s in made]), "text": captions})


def parquet(folder: Path, made: Sequence[Sample], structs: bool = True, group: int = 7) -> str:
    import pyarrow.parquet as pq

    folder.mkdir()
    pq.write_table(arrow_table(made, structs), folder / "pairs.parquet", row_group_size=group)
    return str(folder / "pairs.parquet")


def parquet_bytes(folder: Path, made: Sequence[Sample]) -> str:
    return parquet(folder, made, structs=False, group=50)


def parquet_folder(folder: Path, made: Sequence[Sample]) -> str:
    import pyarrow.parquet as pq

    (folder / "data").mkdir(parents=True)
    for i, part in enumerate((made[:20], made[20:])):
        pq.write_table(arrow_table(part), folder / "data" / f"train-{i:05d}-of-00002.parquet", row_group_size=5)
    pq.write_table(arrow_table(made[:3]), folder / "data" / "test-00000-of-00001.parquet")
    return str(folder)


def parquet_paths(folder: Path, made: Sequence[Sample]) -> str:
    import pyarrow as pa
    import pyarrow.parquet as pq

    write_files(folder, made)
    columns = {name: [f"{kind}/{s.key}.png" for s in made] for name, kind in (("file_name", "images"), ("canny", "canny"))}
    pq.write_table(pa.table({**columns, "text": [s.caption for s in made]}), folder / "pairs.parquet")
    return str(folder / "pairs.parquet")


def hugging_face(made: Sequence[Sample]) -> Any:
    """A `datasets.Dataset` with columns of pictures."""
    from datasets import Dataset, Features, Value
    from datasets import Image as Picture

    features = Features({"image": Picture(), "conditioning_image": Picture(), "text": Value("string")})
    values = {"image": [{"bytes": s.picture, "path": None} for s in made], "text": [s.caption for s in made]}
    return Dataset.from_dict({**values, "conditioning_image": [{"bytes": s.drawn, "path": None} for s in made]}, features)


def saved(folder: Path, made: Sequence[Sample]) -> str:
    hugging_face(made).save_to_disk(folder, num_shards=2)
    return str(folder)


def saved_splits(folder: Path, made: Sequence[Sample]) -> str:
    from datasets import DatasetDict

    DatasetDict({"test": hugging_face(made[:3]), "train": hugging_face(made)}).save_to_disk(folder)
    return str(folder)


def write_tar(path: Path, made: Sequence[Sample], members: Callable[[Sample], dict[str, bytes]], form: int) -> Path:
    with tarfile.open(path, "w", format=form) as file:
        for one in made:
            for ending, data in members(one).items():
                info = tarfile.TarInfo(f"./some folder/{one.key}.{ending}")
                info.size = len(data)
                file.addfile(info, io.BytesIO(data))
    return path


def with_text(sample: Sample) -> dict[str, bytes]:
    return {"png": sample.picture, "txt": f"{sample.caption}\n".encode(), "cond.png": sample.drawn}


def with_json(sample: Sample) -> dict[str, bytes]:
    document = json.dumps({"caption": sample.caption, "width": 16}).encode()
    return {"json": document, "canny.png": sample.drawn, "image.png": sample.picture}


def tar(folder: Path, made: Sequence[Sample]) -> str:
    folder.mkdir()
    return str(write_tar(folder / "pairs.tar", made, with_text, tarfile.USTAR_FORMAT))


def tar_folder(folder: Path, made: Sequence[Sample]) -> str:
    folder.mkdir()
    for i in range(3):
        write_tar(folder / f"shard-{i:03d}.tar", made[20 * i : 20 * i + 20], with_json, tarfile.PAX_FORMAT)
    return str(folder)


def tar_range(folder: Path, made: Sequence[Sample]) -> str:
    return f"{tar_folder(folder, made)}/shard-{{000..002}}.tar"


LAYOUTS = (
    jsonl, tutorial, table, tree, parquet, parquet_bytes, parquet_folder, parquet_paths, saved, saved_splits, tar, tar_folder,
    tar_range,
)  # fmt: skip


def refusal(spec: str | Path) -> str:
    """The one line that a data set is refused with."""
    with pytest.raises(InputError) as caught, listen(lambda _: None):
        read_rows(spec)
    assert caught.value.field == "data.source" and "\n" not in str(caught.value)
    return str(caught.value)


def mutated(whole: bytes, draw: random.Random, part: bytes) -> bytes:
    """Bytes with some changed in a part, cut, or of nothing but chance."""
    kind = draw.randrange(10)
    if kind == 0:
        return whole[: draw.randrange(len(whole))]
    if kind == 1:
        return draw.randbytes(draw.randrange(2000))
    data, start = bytearray(whole), whole.index(part)
    for _ in range(draw.choice([1, 1, 4, 30])):
        data[start + draw.randrange(len(part))] = draw.choice([0, 255, 0x80, draw.randrange(256)])
    return bytes(data)


def assert_rows_or_one_line(path: Path) -> None:
    with listen(lambda _: None):
        try:
            pairs = open_pairs(path, "canny")
        except InputError as error:
            assert "\n" not in str(error) and str(path) in str(error) and len(str(error)) < 1000
            return
        for i in range(len(pairs)):
            try:
                _ = pairs[i]
            except InputError as error:
                assert "\n" not in str(error) and len(str(error)) < 1000
