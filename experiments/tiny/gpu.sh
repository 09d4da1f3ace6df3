#!/usr/bin/env bash
# The tiny base and its ControlNets on one GPU, stage by stage; each stage resumes where it stopped.
#
#   experiments/tiny/gpu.sh data|autoencoder|base|controls|measure [WORK]
#
# Written for one data-centre GPU with 16 CPU cores and stages under ten minutes; not yet run on one.
# The CPU run that made the shipped weights is in docs/results/tiny.md: compare with its figures.
set -euo pipefail
stage=${1:?data, autoencoder, base, controls or measure}
work=${2:-runs/tiny}
here=$(dirname "$0")
assets=src/zeroconv/assets
mkdir -p "$work"
export PYTHONUNBUFFERED=1

case $stage in
data) # 60,000 scenes, all truth
    python -m experiments.tiny.prepare --out "$work/data" --count 60000
    python "$here/pairs.py" --shards "$work/data/train" --out "$work/pairs"
    python "$here/pairs.py" --shards "$work/data/train" --out "$work/people" --kinds person person-indoors
    ;;
autoencoder) # from the shipped one; then latents
    timeout 480 python "$here/train_autoencoder.py" --shards "$work/data/train" --held "$work/data/held" \
        --start "$assets/tiny/vae" --out "$work/autoencoder" --steps 40000 --batch 64 --bf16 --device cuda || [ $? = 124 ]
    python -m experiments.tiny.prepare --out "$work/data" --count 60000 --vae "$work/autoencoder/vae"
    ;;
base) # from the shipped one; run again to go on
    python -m experiments.tiny.train_base --data "$work/data" --start "$assets/tiny" --out "$work/base" --minutes 9 \
        --decay 3 --batch 512 --every 1 --device cuda
    ;;
controls) # four side by side; the fidelity probe keeps the best of each
    python "$here/assemble.py" --run "$work/base/best" --vae "$work/autoencoder/vae" --out "$work/tiny"
    for condition in canny depth segmentation pose; do
        data="$work/pairs"
        [ "$condition" = pose ] && data="$work/people"
        timeout 570 zeroconv train --base "$work/tiny" --data "$data" --condition "$condition" --out "$work/$condition" \
            --steps 6000 --set batch_size=32 --set decay_steps=2000 --set probe_every=500 --set device=cuda &
    done
    wait
    ;;
measure) # 200 held-out scenes each
    for condition in canny depth segmentation pose; do
        zeroconv evaluate --base "$work/tiny" --control "$work/$condition" --data world:200@900000000 \
            --guidance 4 --out "$work/report-$condition"
    done
    ;;
*) echo "unknown stage $stage: data, autoencoder, base, controls or measure" >&2; exit 2 ;;
esac
