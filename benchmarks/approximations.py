"""What the approximations save and cost on the tiny base: time, distance from the exact pictures, and obedience to the map.

    python benchmarks/approximations.py                 24 held-out scenes, fifteen minutes on one core
    python benchmarks/approximations.py --count 100

Every setting makes the same pictures, from the same seeds, one picture at a time. Time is processor time of one thread; the
settings take turns after each picture. The distance is that of the latents, relative to the exact ones' length.
"""

import argparse
import os
import time
from typing import Any

import torch

from zeroconv import ControlNet, ControlPipeline, StableDiffusion, conditions
from zeroconv.data import get_maps, open_pairs
from zeroconv.evaluation import bootstrap_mean
from zeroconv.generation import Control

STEPS, GUIDANCE = 20, 4.0
FEW_STEPS: dict[str, Any] = {"lora": True, "sampler": "lcm", "guidance_scale": 1.0}
SETTINGS: dict[str, dict[str, Any]] = {
    "exact": {},
    "`--control-every 2`": {"control_every": 2},
    "`--control-every 3`": {"control_every": 3},
    "`--control-every 5`": {"control_every": 5},
    "`--encoder-every 2`": {"encoder_every": 2},
    "`--encoder-every 3`": {"encoder_every": 3},
    "control in the first half of the steps": {"end": 0.5},
    "half the steps": {"num_inference_steps": 10},
    "a quarter of the steps": {"num_inference_steps": 5},
    "no control": {"scale": 0.0},
    "`--weighting condition-only`": {"weighting": "condition-only"},
    "a quarter of the steps, `condition-only`": {"num_inference_steps": 5, "weighting": "condition-only"},
    "a fifth of the steps, `condition-only`": {"num_inference_steps": 4, "weighting": "condition-only"},
    "`--lora tiny-few-steps`, 8 steps": {"num_inference_steps": 8, **FEW_STEPS},
    "`--lora tiny-few-steps`, 4 steps": {"num_inference_steps": 4, **FEW_STEPS},
    "`--lora tiny-few-steps`, 4 steps, `--scale 1.5`": {"num_inference_steps": 4, "scale": 1.5, **FEW_STEPS},
    "`--lora tiny-few-steps`, 2 steps": {"num_inference_steps": 2, **FEW_STEPS},
    "`--lora tiny-few-steps`, 4 steps, no control": {"num_inference_steps": 4, "scale": 0.0, **FEW_STEPS},
}


def main() -> None:
    """Measure, and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=24, help="held-out scenes")
    parser.add_argument("--condition", choices=("canny", "depth"), default="canny")
    parser.add_argument("--runtime", choices=("torch", "plan", "openvino"), default="plan")
    parser.add_argument("--lora", default="tiny-few-steps", help="that of the last rows")
    parser.add_argument("--only", nargs="+", default=[""], help="rows with one of these words, beside the exact one")
    args = parser.parse_args()
    torch.set_num_threads(1)
    base = StableDiffusion.from_pretrained("tiny")
    network = ControlNet.from_pretrained(f"tiny-{args.condition}", unet=base.unet)
    few_steps = StableDiffusion.from_pretrained("tiny")
    few_steps.add_lora(args.lora)
    pipelines = [ControlPipeline(one).optimize(runtime=args.runtime) for one in (base, few_steps)]
    condition, found = conditions.get(args.condition), open_pairs(f"world:{args.count}@900000000", args.condition)
    pairs = [found[i] for i in range(len(found))]
    maps = get_maps(pairs, condition.name, [network.config.extract] * len(pairs))
    chosen = {name: changes for name, changes in SETTINGS.items() if not changes or any(word in name for word in args.only)}
    results: dict[str, list[tuple[float, float, float]]] = {name: [] for name in chosen}
    for index, (pair, image) in enumerate(zip(pairs, maps, strict=True)):
        exact = torch.zeros(0)
        for name, changes in chosen.items():
            settings: dict[str, Any] = {"num_inference_steps": STEPS, "guidance_scale": GUIDANCE, **changes}
            how: dict[str, Any] = {key: settings.pop(key) for key in ("end", "scale") if key in settings}
            pipeline = pipelines[settings.pop("lora", False)]
            control = [] if how.get("scale") == 0 else [Control(network, image, checked=image, **how)]
            if index == 0:
                pipeline(pair.caption, control, seed=0, size=image.size, **settings)  # packs
            started = time.process_time()
            output = pipeline(pair.caption, control, seed=index, size=image.size, **settings)
            seconds, exact = time.process_time() - started, exact if len(exact) else output.latents
            fidelity = condition.metrics(output.images[0], image)[condition.metric]
            results[name].append((seconds, float((output.latents - exact).norm() / exact.norm()), fidelity))
        print(f"\r{index + 1} of {len(pairs)}", end="", flush=True)
    print(f"\n\n{args.count} scenes, {args.condition}, {args.runtime}, {STEPS} steps, guidance {GUIDANCE:g}, torch "
          f"{torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, load {os.getloadavg()[0]:.1f}")  # fmt: skip
    print(f"\n| | seconds a picture | times as fast | distance | {condition.metric} |\n|---|---|---|---|---|")
    first = sum(row[0] for row in results["exact"])
    for name, rows in results.items():
        seconds, apart = sum(row[0] for row in rows), sum(row[1] for row in rows) / len(rows)
        value = bootstrap_mean([row[2] for row in rows])
        interval = f"{value.value:.3f} [{value.low:.3f}, {value.high:.3f}]"
        print(f"| {name} | {seconds / len(rows):.2f} | {first / seconds:.2f} | {apart:.2f} | {interval} |")


if __name__ == "__main__":
    main()
