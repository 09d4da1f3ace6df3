"""The metrics of features need numpy and nothing heavier."""

import subprocess
import sys


def test_metrics_of_features_load_no_torch() -> None:
    names = ("frechet", "kernel_distance", "sliced_wasserstein", "diversity", "image_text")
    code = f"import sys, {', '.join(f'zeroconv.metrics.{name}' for name in names)}\n"
    code += "print([name for name in ('torch', 'transformers', 'scipy', 'cv2') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
