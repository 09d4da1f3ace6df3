"""Put trained parts together as the embedded tiny base: a diffusers folder in half precision.

    python experiments/tiny/assemble.py --run RUN --vae START/vae --out src/zeroconv/assets/tiny

RUN is the folder of `train_base.py` (unet, text_encoder, tokenizer). The folder a model was loaded from, which
diffusers writes into `config.json`, is left out.
"""

import argparse
import json
import shutil
from pathlib import Path

from safetensors.torch import load_file, save_file

SCHEDULER = {
    "_class_name": "PNDMScheduler",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "clip_sample": False,
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
}
INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
    "requires_safety_checker": False,
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "PNDMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


def write_json(path: Path, value: dict[str, object]) -> None:
    """Sorted, so that two assemblies of the same weights are the same files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")


def copy_network(source: Path, target: Path) -> None:
    """Weights in half precision, and the configuration without traces of where it came from."""
    config = json.loads((source / "config.json").read_text())
    config.pop("_name_or_path", None)
    if "dtype" in config:
        config["dtype"] = "float16"
    write_json(target / "config.json", config)
    (weights,) = source.glob("*.safetensors")
    tensors = {name: tensor.half().contiguous() for name, tensor in load_file(weights).items()}
    save_file(tensors, target / weights.name, metadata={"format": "pt"})


def main() -> None:
    """Assemble."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--vae", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    copy_network(args.run / "unet", args.out / "unet")
    copy_network(args.run / "text_encoder", args.out / "text_encoder")
    copy_network(args.vae, args.out / "vae")
    shutil.copytree(args.run / "tokenizer", args.out / "tokenizer", dirs_exist_ok=True)
    write_json(args.out / "scheduler" / "scheduler_config.json", SCHEDULER)
    write_json(args.out / "model_index.json", INDEX)
    size = sum(path.stat().st_size for path in args.out.rglob("*") if path.is_file())
    print(f"{args.out}: {size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
