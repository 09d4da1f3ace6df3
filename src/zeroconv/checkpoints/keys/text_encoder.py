"""Text encoders: CLIP's names are ours, OpenCLIP's are its own and join what is three layers here."""

import re
from collections.abc import Iterable, Iterator

from zeroconv.checkpoints.architecture.limits import MAX_TEXT_LAYERS
from zeroconv.checkpoints.keys.table import Entry, Table, layer

__all__ = ["clip_table", "count_layers", "open_clip_table"]

LAYER = re.compile(r"(?:^|\.)(?:encoder\.layers|resblocks)\.(\d{1,4})\.", re.ASCII)

TOKENS, POSITIONS, LAST = "embeddings.token_embedding", "embeddings.position_embedding", "final_layer_norm"
ATTENTION = tuple(f"self_attn.{name}" for name in ("q_proj", "k_proj", "v_proj", "out_proj"))


def clip_table(layers: int) -> Table:
    """Every tensor of a CLIP text encoder without its projection: 196 for 12 layers.

    Both sides are without `text_model.`; an old file's `embeddings.position_ids` is no weight and not in the table.
    """
    return Table(tuple(clip_entries(layers)))


def clip_entries(layers: int) -> Iterator[Entry]:
    """The names of transformers, on both sides."""
    for name in (TOKENS, POSITIONS):
        yield from layer(name, name, bias=False)
    for i in range(layers):
        for name in ("layer_norm1", *ATTENTION, "layer_norm2", "mlp.fc1", "mlp.fc2"):
            yield from layer(f"encoder.layers.{i}.{name}", f"encoder.layers.{i}.{name}")
    yield from layer(LAST, LAST)


def open_clip_table(layers: int, projection: bool) -> Table:
    """An OpenCLIP text encoder: `layers` of its layers, and everything around them.

    Args:
        layers: how many are used; SD 2.1 uses 23 of the 24 that its file holds.
        projection: whether the projection of the pooled text belongs to it; ours then has `text_model.` before every
            name but that one, as in transformers' `CLIPTextModelWithProjection`.
    """
    table = Table(tuple(open_clip_entries(layers))).add_prefix(ours="text_model." if projection else "")
    return table + Table((Entry("text_projection", ("text_projection.weight",), "transposed"),) if projection else ())


def open_clip_entries(layers: int) -> Iterator[Entry]:
    """Everything but the projection."""
    yield from layer("token_embedding", TOKENS, bias=False)
    yield Entry("positional_embedding", (f"{POSITIONS}.weight",))
    for i in range(layers):
        theirs, ours = f"transformer.resblocks.{i}", f"encoder.layers.{i}"
        yield from layer(f"{theirs}.ln_1", f"{ours}.layer_norm1")
        for kind in ("weight", "bias"):
            yield Entry(f"{theirs}.attn.in_proj_{kind}", thirds(ours, kind), "thirds")
        yield from layer(f"{theirs}.attn.out_proj", f"{ours}.self_attn.out_proj")
        yield from layer(f"{theirs}.ln_2", f"{ours}.layer_norm2")
        yield from layer(f"{theirs}.mlp.c_fc", f"{ours}.mlp.fc1")
        yield from layer(f"{theirs}.mlp.c_proj", f"{ours}.mlp.fc2")
    yield from layer("ln_final", LAST)


def thirds(ours: str, kind: str) -> tuple[str, ...]:
    """Query, key and value, in the order in which OpenCLIP joins them."""
    return tuple(f"{ours}.{name}.{kind}" for name in ATTENTION[:3])


def count_layers(names: Iterable[str]) -> int:
    """How many transformer layers a text encoder has, by the names of either layout, with any prefix.

    Raises:
        ValueError: when there is none, when one is left out, or when there are more than any text encoder has.
    """
    found = {int(match[1]) for name in names if (match := LAYER.search(name))}
    if not found or found != set(range(len(found))) or len(found) > MAX_TEXT_LAYERS:
        raise ValueError(
            f"the text encoder's layers are numbered {sorted(found)[:3]} … {sorted(found)[-1:]}, {len(found)} of them; "
            f"expected 0, 1, 2 … without a gap, at most {MAX_TEXT_LAYERS}"
        )
    return len(found)
