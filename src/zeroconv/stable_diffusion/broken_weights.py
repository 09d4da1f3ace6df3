"""Which network holds numbers that are not finite: looked for when something came out that is not."""

from torch import nn

from zeroconv.stable_diffusion.base import StableDiffusion

__all__ = ["broken_part", "broken_weight"]


def broken_weight(network: nn.Module) -> str | None:
    """The name of the first weight or buffer that is not finite; None when all are."""
    tensors = (*network.named_parameters(), *network.named_buffers())
    return next((name for name, tensor in tensors if tensor.is_floating_point() and not tensor.isfinite().all()), None)


def broken_part(base: StableDiffusion) -> str | None:
    """Say which network of a base holds weights that are not finite; None when none does."""
    own = f"the base {base.name!r}"
    vae = base.options.get("vae")
    parts = {
        f"the U-Net of {own}": base.unet,
        f"the autoencoder {vae!r}" if vae else f"the autoencoder of {own}": base.vae,
        f"the text encoder of {own}": base.text_encoder,
        f"the second text encoder of {own}": base.text_encoder_2,
    }
    for what, network in parts.items():
        if network is not None and (name := broken_weight(network)):
            return f"{what} holds weights that are not finite (first: {name}): get its file again"
    return None
