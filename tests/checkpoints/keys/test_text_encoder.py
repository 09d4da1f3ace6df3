"""Names of text encoders: diffusers' converters agree, and an OpenCLIP tower computes the same under ours."""

from typing import Any

import pytest
import torch
from diffusers.loaders.single_file_utils import convert_ldm_clip_checkpoint, convert_open_clip_checkpoint
from torch import Tensor, nn

from tests.checkpoints.reduced import assert_round_trip, equal, on_meta, random_tensors, shapes_of, text_on_meta
from zeroconv.checkpoints.architecture.families import FAMILIES, Family
from zeroconv.checkpoints.formats.configs import text_config
from zeroconv.checkpoints.keys import clip_table, count_layers, open_clip_table


def test_diffusers_reads_what_the_clip_table_writes() -> None:
    ours = random_tensors(text_on_meta(64, 2))
    for prefix in ("cond_stage_model.transformer.", "conditioner.embedders.0.transformer."):
        theirs = assert_round_trip(clip_table(2).add_prefix(f"{prefix}text_model."), ours)
        read = convert_ldm_clip_checkpoint(dict(theirs))
        assert equal({name.removeprefix("text_model."): tensor for name, tensor in read.items()}, ours)


@pytest.mark.parametrize("projection", [None, 24])
def test_diffusers_reads_what_the_open_clip_table_writes(projection: int | None) -> None:
    network, prefix = text_on_meta(32, 3, projection), "conditioner.embedders.1.model."
    ours = random_tensors(network)
    theirs = assert_round_trip(open_clip_table(3, projection is not None).add_prefix(prefix), ours)
    read = convert_open_clip_checkpoint(network, dict(theirs), prefix)
    if projection is None:
        read = {name.removeprefix("text_model."): tensor for name, tensor in read.items()}
    assert equal(read, ours)


class OpenClip(nn.Module):
    """OpenCLIP's text tower, under its own names: torch's attention with one joined projection."""

    def __init__(self, layers: int, width: int, out: int) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(40, width)
        self.positional_embedding = nn.Parameter(torch.randn(7, width))
        self.transformer = nn.ModuleDict({"resblocks": nn.ModuleList(open_clip_block(width) for _ in range(layers))})
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = nn.Parameter(torch.randn(width, out))

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        mask = torch.full((7, 7), -torch.inf).triu(1)
        x = self.token_embedding(tokens) + self.positional_embedding
        blocks: Any = self.transformer["resblocks"]
        for block in blocks:
            h = block["ln_1"](x)
            x = x + block["attn"](h, h, h, attn_mask=mask, need_weights=False)[0]
            x = x + block["mlp"]["c_proj"](nn.functional.gelu(block["mlp"]["c_fc"](block["ln_2"](x))))
        x = self.ln_final(x)
        return x, x[torch.arange(len(x)), tokens.argmax(1)] @ self.text_projection


def open_clip_block(width: int) -> nn.ModuleDict:
    mlp = nn.ModuleDict({"c_fc": nn.Linear(width, 4 * width), "c_proj": nn.Linear(4 * width, width)})
    attention = nn.MultiheadAttention(width, width // 64, batch_first=True)
    return nn.ModuleDict({"ln_1": nn.LayerNorm(width), "attn": attention, "ln_2": nn.LayerNorm(width), "mlp": mlp})


@pytest.mark.parametrize("family", ["sd21", "sdxl"])
def test_an_open_clip_tower_says_the_same_under_our_names(family: str) -> None:
    encoder = FAMILIES[family].text_encoders[-1]
    with torch.random.fork_rng():
        torch.manual_seed(3)
        tower = OpenClip(2, 128, 24).eval()
        for name, parameter in tower.named_parameters():
            if name.endswith("bias"):
                nn.init.normal_(parameter)
        tokens = torch.randint(0, 40, (3, 7))
    theirs = {k: v for k, v in tower.state_dict().items() if encoder.projection or k != "text_projection"}
    ours = open_clip_table(2, encoder.projection).to_ours(theirs)
    config = text_config(encoder, shapes_of(ours))
    cls = type(text_on_meta(64, 1, 64 if encoder.projection else None))
    network = on_meta(cls, config).to_empty(device="cpu").eval()
    network.load_state_dict(ours, assign=True)
    rows = torch.arange(7)[None]
    with torch.no_grad():
        states, pooled = tower(tokens)
        said = network(tokens, position_ids=rows)
    torch.testing.assert_close(said.last_hidden_state, states, rtol=1e-5, atol=1e-5)
    if encoder.projection:
        torch.testing.assert_close(said.text_embeds, pooled, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=list(FAMILIES))
def test_text_tables_hold_every_tensor_of_the_published_encoders(family: Family) -> None:
    for encoder in family.text_encoders:
        network = text_on_meta(encoder.width, encoder.used, encoder.width if encoder.projection else None)
        table = clip_table(encoder.used) if encoder.kind == "clip" else open_clip_table(encoder.used, encoder.projection)
        assert set(table.ours) == shapes_of(network).keys()
        assert count_layers(table.add_prefix(encoder.prefix).theirs) == count_layers(table.ours) == encoder.used


@pytest.mark.parametrize("numbers", [[], [1], [0, 2], [0, 1, 9999], list(range(101))])
def test_layers_with_a_gap_or_beyond_all_measure_are_refused(numbers: list[int]) -> None:
    for pattern in ("text_model.encoder.layers.{}.mlp.fc1.weight", "transformer.resblocks.{}.ln_1.bias"):
        with pytest.raises(ValueError, match=r"^the text encoder's layers are numbered [^\n]* at most 100$"):
            count_layers(pattern.format(number) for number in numbers)
