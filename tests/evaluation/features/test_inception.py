"""FID's Inception: numbers of torch-fidelity's own network on the same random weights, resizers, and files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from zeroconv.checkpoints import write_safetensors
from zeroconv.errors import InputError
from zeroconv.evaluation.features.inception import InceptionExtractor, open_inception
from zeroconv.evaluation.features.inception_network import InceptionV3
from zeroconv.evaluation.features.resizing import RESIZERS, clip_crop

TORCH_FIDELITY = (1.90125, 0.00905, 0.46407, 1.19483, 0.38755, 0.55253, 1.05933, 0.73136)
"""Features 0, 256, … of `FeatureExtractorInceptionV3` of torch-fidelity 0.4.0 with the tensors and the picture below."""


def random_tensors() -> dict[str, Tensor]:
    """Tensors drawn in the order of their names, so that features neither vanish nor grow."""
    generator, tensors = torch.Generator().manual_seed(0), dict[str, Tensor]()
    for name, tensor in sorted(InceptionV3().state_dict().items()):
        if name.endswith("num_batches_tracked"):
            continue
        drawn = torch.randn(tensor.shape, generator=generator)
        if name.endswith("conv.weight"):
            tensors[name] = drawn * (2 / tensor[0].numel()) ** 0.5
        elif name.endswith(("bn.weight", "running_var")):
            tensors[name] = 1 + 0.2 * drawn.tanh()
        else:
            tensors[name] = drawn * 0.1
    return tensors


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    return random_tensors()


@pytest.fixture(scope="module")
def extractor(tensors: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> InceptionExtractor:
    path = tmp_path_factory.mktemp("inception") / "inception.safetensors"
    write_safetensors(path, tensors | {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)})
    return open_inception(path, resizer="tensorflow")


def picture() -> Image.Image:
    y, x = np.mgrid[:80, :120]
    return Image.fromarray(np.stack([x * 2, y * 3, (x * y) % 251], -1).astype(np.uint8))


def test_equal_to_torch_fidelity(extractor: InceptionExtractor) -> None:
    features = extractor.extract([picture()])
    assert features.shape == (1, extractor.dimension) and features.dtype == np.float32
    assert features[0, ::256] == pytest.approx(TORCH_FIDELITY, abs=2e-4)
    assert features.mean() == pytest.approx(0.421105, abs=1e-4) and features.std() == pytest.approx(0.553595, abs=2e-4)


def test_what_the_procedure_says(extractor: InceptionExtractor) -> None:
    assert (extractor.name, extractor.resizer) == ("inception-v3-fid", "tensorflow")
    assert Path(extractor.weights).is_file() and len(extractor.sha256) == 64


def test_resizing_as_pytorch_fid_is_torch_interpolation() -> None:
    pixels = torch.from_numpy(np.array(picture())).permute(2, 0, 1)[None].float() / 255
    wanted = 2 * F.interpolate(pixels, (299, 299), mode="bilinear", align_corners=False) - 1
    assert torch.allclose(RESIZERS["pytorch-fid"](picture()), wanted[0])


def test_resizing_as_tensorflow_by_hand() -> None:
    """Pixel i of the result lies at i h / 299 of the picture, between its neighbours."""
    found = RESIZERS["tensorflow"](picture()) * 128 + 128
    x = np.arange(299) * 120 / 299
    assert found[0, 0].numpy() == pytest.approx(np.minimum(x, 119) * 2, abs=1e-3)
    y = np.arange(299) * 80 / 299
    assert found[1, :, 0].numpy() == pytest.approx(np.minimum(y, 79) * 3, abs=1e-3)


def test_resizing_as_clean_fid_smooths() -> None:
    stripes = Image.fromarray(np.tile(np.array([[0, 255]], np.uint8), (598, 299))).convert("RGB")
    smooth, rough = RESIZERS["clean-fid"](stripes), RESIZERS["tensorflow"](stripes)
    assert smooth.std() < 0.05 < rough.abs().min()  # stripes of one pixel become grey, or all of one colour
    same = Image.fromarray(np.random.default_rng(0).integers(0, 256, (299, 299, 3), np.uint8))
    assert torch.equal(*(RESIZERS[name](same) for name in ("clean-fid", "tensorflow")))


def test_clips_square_is_the_middle() -> None:
    wide = Image.new("RGB", (200, 100))
    wide.paste((255, 0, 0), (45, 0, 155, 100))  # with a margin, for what bicubic sees
    assert clip_crop(wide, 50).getcolors() == [(2500, (255, 0, 0))]
    assert clip_crop(wide.transpose(Image.Transpose.ROTATE_90), 100).getcolors() == [(10_000, (255, 0, 0))]


def test_other_weights_are_refused(tensors: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"A is not FID's Inception v3: tensor 'Mixed_7c.branch1x1.bn.bias' is missing"):
        InceptionV3.from_tensors({k: v for k, v in tensors.items() if k != "Mixed_7c.branch1x1.bn.bias"}, "A")
    with pytest.raises(InputError, match=r"zeroconv convert pt\.pth pt\.safetensors --to safetensors"):
        open_inception("pt.pth")
    with pytest.raises(InputError, match="expected one of pytorch-fid, tensorflow, clean-fid"):
        open_inception("x.safetensors", resizer="lanczos")
    with pytest.raises(FileNotFoundError, match="not exactly one"):
        open_inception(tmp_path)
    with pytest.raises(FileNotFoundError, match="no Inception weights at 'nowhere'"):
        open_inception("nowhere")
    monkeypatch.delenv("ZEROCONV_INCEPTION", raising=False)
    with pytest.raises(FileNotFoundError, match="set ZEROCONV_INCEPTION"):
        open_inception()


def test_no_pictures_are_refused(extractor: InceptionExtractor) -> None:
    with pytest.raises(InputError, match="there are no pictures"):
        extractor.extract([])
