"""A tiny base at initialisation: tokenizer from the world's captions, text encoder and U-Net with random weights.

    python experiments/tiny/fresh_base.py --shards DATA/train --out START

Sizes: U-Net (48, 64, 96, 96) with cross-attention 128 on 8-channel latents (6.14 M parameters, 12.3 MB in half
precision), text encoder 128 x 3 layers, window of 48 tokens (captions have at most 47). The tokenizer is a CLIP
byte-pair encoding learnt on the captions. `--tokenizer FOLDER` takes a ready one and keeps its numbers.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

WINDOW = 48
SPLIT = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def learn_tokenizer(captions: list[str], folder: Path) -> CLIPTokenizer:
    """A byte-pair encoding in CLIP's format, learnt on captions."""
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token="<|endoftext|>", continuing_subword_prefix=""))
    learner.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    split = pre_tokenizers.Split(Regex(SPLIT), behavior="removed", invert=True)
    learner.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=1600, initial_alphabet=alphabet, end_of_word_suffix="</w>", show_progress=False)
    learner.train_from_iterator(captions, trainer)
    folder.mkdir(parents=True, exist_ok=True)
    learner.model.save(str(folder))
    vocabulary = json.loads((folder / "vocab.json").read_text())
    for word in (*(letter + "</w>" for letter in alphabet), "<|startoftext|>", "<|endoftext|>"):
        vocabulary.setdefault(word, len(vocabulary))
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=WINDOW)
    tokenizer.save_pretrained(folder)
    return tokenizer


def main() -> None:
    """Write the three folders."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.tokenizer:
        tokenizer = CLIPTokenizer.from_pretrained(args.tokenizer)
        tokenizer.save_pretrained(args.out / "tokenizer")
    else:
        shards = sorted(path for path in args.shards.glob("*.npz") if path.stem.isdigit())
        captions = [str(caption) for path in shards for caption in np.load(path)["captions"]]
        tokenizer = learn_tokenizer(captions, args.out / "tokenizer")
    torch.manual_seed(args.seed)
    unet = UNet2DConditionModel(
        sample_size=16, in_channels=8, out_channels=8, block_out_channels=(48, 64, 96, 96), cross_attention_dim=128,
        attention_head_dim=4, layers_per_block=2, norm_num_groups=16,
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
    )  # fmt: skip
    unet.save_pretrained(args.out / "unet")
    text = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=128, intermediate_size=512, num_hidden_layers=3, num_attention_heads=4,
        max_position_embeddings=WINDOW, hidden_act="quick_gelu", projection_dim=128,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    CLIPTextModel(text).save_pretrained(args.out / "text_encoder")


if __name__ == "__main__":
    main()
