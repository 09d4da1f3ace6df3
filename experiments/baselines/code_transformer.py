"""A decoder-only transformer over the codes of a map and then of its picture, and sampling from it code by code.

P. Esser, R. Rombach, B. Ommer, *Taming Transformers for High-Resolution Image Synthesis*, 2021, arXiv 2012.09841, section 3.2;
the architecture is GPT-2's (pre-norm, learned positions).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["CodeTransformer", "sample_codes"]

Cache = list[tuple[Tensor, Tensor]]
"""Keys and values of each layer, (B, heads, length, width / heads)."""


class Block(nn.Module):
    """Causal self-attention and a feed-forward layer, each after a norm and added to its input."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_layers = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.layers = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, past: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Features (B, N, C) of the last N of M places, and the keys and values of all M."""
        batch, count, width = x.shape
        q, k, v = self.qkv(self.before_attention(x)).view(batch, count, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        if past is not None:
            k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
        scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5  # written out: its backward pass is fast in bfloat16
        hidden = torch.ones(count, k.shape[2], dtype=torch.bool).triu(k.shape[2] - count + 1)
        attended = scores.masked_fill(hidden, -torch.inf).softmax(-1).to(v.dtype) @ v
        x = x + self.out(attended.transpose(1, 2).reshape(batch, count, width))
        return x + self.layers(self.before_layers(x)), (k, v)


class CodeTransformer(nn.Module):
    """p(code of the picture | codes of the map, codes of the picture before it).

    Args:
        map_codes: entries of the maps' codebook; in the sequence the pictures' codes are counted from there.
        picture_codes: entries of the pictures' codebook.
        places: codes of a map, and of a picture.
        width: of the features.
        layers: how many.
        heads: of attention.
    """

    def __init__(
        self, map_codes: int, picture_codes: int, places: int, width: int = 192, layers: int = 5, heads: int = 6
    ) -> None:
        super().__init__()
        self.map_codes, self.places = map_codes, places
        self.embedding = nn.Embedding(map_codes + picture_codes, width)
        self.positions = nn.Parameter(torch.empty(2 * places, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, picture_codes, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            bias = getattr(module, "bias", None)
            if isinstance(module, nn.Linear) and bias is not None:
                nn.init.zeros_(bias)
        nn.init.normal_(self.positions, std=0.05)
        with torch.no_grad():  # where a picture's code is asked for, begin with the position of the map's code of that place
            self.positions[places - 1 : 2 * places - 1] += self.positions[:places].clone()

    def forward(self, tokens: Tensor, cache: Cache | None = None) -> tuple[Tensor, Cache]:
        """Logits (B, N, picture codes) of the code behind each token, and the cache that continues the sequence.

        Args:
            tokens: (B, N), the whole sequence so far, or what comes behind the cache.
            cache: what an earlier call returned.
        """
        start = 0 if cache is None else cache[0][0].shape[2]
        x = self.embedding(tokens) + self.positions[start : start + tokens.shape[1]]
        kept: Cache = []
        for index, block in enumerate(self.blocks):
            x, both = block(x, None if cache is None else cache[index])
            kept.append(both)
        return self.head(self.norm(x)).float(), kept

    def loss(self, maps: Tensor, pictures: Tensor) -> Tensor:
        """Mean cross entropy of the pictures' codes (B, places), given those before and the maps' codes (B, places)."""
        tokens = torch.cat([maps, pictures[:, :-1] + self.map_codes], 1)
        logits = self(tokens)[0][:, self.places - 1 :]
        return functional.cross_entropy(logits.flatten(0, 1), pictures.flatten())


@torch.no_grad()
def sample_codes(
    network: CodeTransformer, maps: Tensor, top_k: int, temperature: float, generators: list[torch.Generator]
) -> Tensor:
    """Codes of pictures (B, places), drawn one by one, row by row.

    Args:
        network: the transformer.
        maps: codes of the maps, (B, places).
        top_k: only so many most likely codes are drawn from.
        temperature: above 0; below 1 likely codes are drawn more often.
        generators: one a picture, so that each is the same alone or in a batch.
    """
    drawn, cache = list[Tensor](), None
    tokens = maps
    for _ in range(network.places):
        logits, cache = network(tokens, cache)
        values, codes = (logits[:, -1] / temperature).topk(top_k)
        shares = values.softmax(-1).cumsum(-1)  # (B, top_k)
        draws = torch.stack([torch.rand((), generator=one) for one in generators])
        places = (shares < draws[:, None]).sum(1).clamp(max=top_k - 1)
        drawn.append(codes.gather(1, places[:, None])[:, 0])
        tokens = drawn[-1][:, None] + network.map_codes
    return torch.stack(drawn, 1)
