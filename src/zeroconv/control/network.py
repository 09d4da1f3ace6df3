"""The ControlNet of figure 3: a copy of the encoder and the middle block, and a zero convolution at each output."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from zeroconv.checkpoints import check_fit, resolve
from zeroconv.checkpoints.files.shards import WEIGHTS
from zeroconv.checkpoints.formats.control_lora_config import fit_control_lora
from zeroconv.checkpoints.formats.controlnet import ControlNetFile, read_controlnet, write_controlnet_folder
from zeroconv.checkpoints.formats.controlnet_config import (
    DEFAULTS,
    ChannelOrder,
    ConditionEncoderForm,
    Connection,
    ControlNetConfig,
    Variant,
)
from zeroconv.checkpoints.formats.controlnet_hints import ControlNetHints, split_condition
from zeroconv.checkpoints.formats.controlnet_settings import config_from_unet, override_config
from zeroconv.checkpoints.hub.download import pinned_name
from zeroconv.control.condition_encoder import build_condition_encoder
from zeroconv.control.decoder import Decoder, DecoderMethods
from zeroconv.control.lite import LiteMiddle, lite_blocks
from zeroconv.control.low_rank import borrowed_vectors, borrows_from, load_lora, merge_lora, wrap_with_lora
from zeroconv.control.residuals import Residuals, skip_channels
from zeroconv.control.transfer import Base, transfer_tensors, unet_of
from zeroconv.control.union import UnionMethods, add_union_parts
from zeroconv.control.zero_convolution import connect_all
from zeroconv.stable_diffusion.unet import AddedConditions, check_supported, embed, run_encoder, unet_on_meta

__all__ = ["ControlNet", "Variant"]


class ControlNet(DecoderMethods, UnionMethods, nn.Module):
    """`canny(z_t, t, text, condition)` gives the `Residuals` for one denoising step.

    The state dict has the names of diffusers' `ControlNetModel`, so a saved folder opens there and the other way
    round. Make one with `from_unet` or `from_pretrained`.

    Attributes:
        config: everything about it but its tensors; replaced as a whole (`dataclasses.replace`), never changed in place.
        name: what it was opened as.
    """

    name: str = "unnamed"

    def __init__(self, unet: UNet2DConditionModel, config: ControlNetConfig, own: Mapping[str, Tensor] | None = None) -> None:
        super().__init__()
        levels: tuple[int, ...] = tuple(unet.config["block_out_channels"])
        copied: Callable[[Any], Any] = copy.deepcopy
        if config.variant == "lora":
            copied = partial(wrap_with_lora, rank=config.rank if own is None else 0)
        self.config = config
        self.conv_in, self.time_proj, self.time_embedding = map(copied, (unet.conv_in, unet.time_proj, unet.time_embedding))
        if getattr(unet, "add_embedding", None) is not None:
            self.add_time_proj, self.add_embedding = copied(unet.add_time_proj), copied(unet.add_embedding)
        self.controlnet_cond_embedding = build_condition_encoder(
            config.condition_encoder,
            levels[0],
            config.conditioning_channels,
            config.conditioning_embedding_out_channels,
            config.connection,
        )
        if config.variant == "lite":
            self.down_blocks, self.mid_block = lite_blocks(unet), LiteMiddle(levels[-1])
        else:
            self.down_blocks, self.mid_block = copied(unet.down_blocks), copied(unet.mid_block)
        *skips, middle = connect_all([*skip_channels(unet), levels[-1]], config.connection)
        self.controlnet_down_blocks, self.controlnet_mid_block = nn.ModuleList(skips), middle
        self.decoder = Decoder(unet) if config.unlocked_decoder else None
        if config.union is not None:
            add_union_parts(self, config)
        if own is not None:
            load_lora(self, own)
        self.requires_grad_(True)

    @classmethod
    def from_unet(
        cls,
        unet: UNet2DConditionModel,
        conditioning_channels: int = 3,
        variant: Variant = "full",
        connection: Connection = "zero",
        condition_encoder: ConditionEncoderForm = "released",
        conditioning_embedding_out_channels: tuple[int, ...] | None = None,
        base: str | None = None,
        rank: int = 16,
    ) -> Self:
        """A ControlNet at initialisation: `unet`'s encoder and middle block copied, every connection zero.

        Args:
            unet: a diffusers `UNet2DConditionModel` (SD 1.x, 2.x, XL or the tiny base).
            conditioning_channels: channels of the condition image, 3 for RGB maps.
            variant: "full"; "lite" (figure 8 c); or "lora": the locked encoder itself, plus low-rank updates.
            connection: "zero", or "gaussian": ordinary convolutions (figure 8 b), which break identity at initialisation.
            condition_encoder: "released" (the form of published weights) or "paper" (section 3.2's text).
            conditioning_embedding_out_channels: widths of the condition encoder.
            base: name of the base, kept in the configuration.
            rank: of the updates at most; narrow layers get less (`low_rank.update_rank`).

        Raises:
            ValueError: for an unknown variant, connection or form, or a U-Net of another family.
        """
        check_supported(unet)
        form = variant, connection, condition_encoder, conditioning_embedding_out_channels
        return cls(unet, config_from_unet(unet, conditioning_channels, *form, base, rank))

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        unet: UNet2DConditionModel | None = None,
        *,
        condition: str | None = None,
        global_pool_conditions: bool | None = None,
        channel_order: ChannelOrder | None = None,
    ) -> Self:
        """Open a saved ControlNet in any layout: "tiny-canny", a folder, a `.safetensors` file, a hub id.

        Args:
            name_or_path: its name, folder, file, or "owner/name@revision"; each may end in "#condition".
            unet: of the base it is for: files of offsets (Control-LoRA, `difference`) are nothing without it.
            condition: the condition it follows, where the file does not say it; of a ControlNet-Union, the one it is to follow.
            global_pool_conditions: whether its residuals are pooled (shuffle), where the file does not say it.
            channel_order: "rgb" or "bgr", where the file does not say it.

        Raises:
            FileNotFoundError: when there is no such name, folder or file.
            ValueError: when the file is broken, of another kind, or its tensors do not fit its configuration.
        """
        name, said = split_condition(name_or_path) if "#" in str(name_or_path) else (name_or_path, None)
        path = resolve(name, "ControlNet")
        hints = ControlNetHints(condition or said, global_pool_conditions, channel_order)
        network = cls.from_file(read_controlnet(path, unet, hints, name=str(name)), unet)
        told = said if network.config.union is None else network.config.condition
        network.name = pinned_name(name, path) + (f"#{told}" if told else "")
        return network.requires_grad_(True)

    @classmethod
    def from_file(cls, file: ControlNetFile, unet: UNet2DConditionModel | None = None) -> Self:
        """The network of a file that was read, in float32.

        Args:
            file: see `read_controlnet`.
            unet: of the base, which a Control-LoRA locks and takes its weights from; another one is the transfer.

        Raises:
            ValueError: when configuration and tensors do not fit each other, or a base is needed and none is given.
        """
        if file.layout == "control-lora":
            if unet is None:
                base = (file.config and file.config.base) or "not named"
                raise ValueError(
                    f"{file.path} is a Control-LoRA, offsets from its base ({base}): "
                    "open it on a base, with ControlNet.from_pretrained(…, unet=base.unet)"
                )
            check_supported(unet)
            own, config = fit_control_lora(unet, file.tensors, file.config)
            with torch.device("meta"):  # every tensor comes from the file or is the base's
                return cls(unet, override_config(config, file.hints), own)
        assert file.config is not None, "only Control-LoRA files come without a configuration"
        config_path, weights = (file.path / "config.json", file.path / WEIGHTS) if file.path.is_dir() else (file.path,) * 2
        try:
            file.config.check_size(len(file.tensors))
            with torch.device("meta"):
                network = cls(unet_on_meta({**DEFAULTS, **file.config.unet_settings}), file.config)
        except Exception as error:  # the libraries raise many kinds for broken settings
            kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
            first = str(error).strip().partition("\n")[0]
            raise ValueError(f"{config_path} describes no ControlNet: {kind}{first}") from error
        shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
        misfit = "does not fit its config.json" if file.path.is_dir() else "is no whole ControlNet"
        check_fit(file.tensors, shapes, f"{weights} {misfit}")
        # Copied, not assigned: a file's own memory is not aligned, and sums over it would be rounded differently.
        network.to_empty(device="cpu").float().load_state_dict(file.tensors)
        return network

    def merge_lora(self) -> Self:
        """A full network that gives the same residuals and borrows nothing: every low-rank update written out."""
        network = merge_lora(self)
        if self.config.variant == "lora":
            network.config = replace(self.config, variant="full", rank=None, vectors=None)
        return network.requires_grad_(True)

    def transfer(self, from_base: Base, to_base: Base) -> Self:
        """This network on another base of the same family: every tensor of the copy is moved by `to - from`.

        A low-rank network is bound to the new base; its updates are offsets already.

        Args:
            from_base: the base it was made for, or its U-Net.
            to_base: the base it is to act on.

        Raises:
            ValueError: when it was not made for `from_base`, or the bases are not of the same family.
        """
        from_unet, to_unet = unet_of(from_base), unet_of(to_base)
        self.check_base(from_unet)
        tensors = transfer_tensors(self.state_dict(), from_unet, to_unet)
        config = replace(self.config, base=getattr(to_base, "name", None))
        if config.variant == "lora":
            with torch.device("meta"):  # every tensor is given or the base's
                return type(self)(to_unet, config, tensors)
        new = copy.deepcopy(self)
        new.load_state_dict(tensors)
        new.config = config
        return new

    def save_pretrained(self, folder: str | Path, dtype: torch.dtype | None = None) -> Path:
        """Write `config.json` and `diffusion_pytorch_model.safetensors`, each whole or not at all.

        A low-rank network writes `control-lora.safetensors` instead, a Control-LoRA that other tools open by itself.

        Args:
            folder: made if it is not there.
            dtype: type of the stored weights; as they are if left out, but a Control-LoRA in half precision.
        """
        return write_controlnet_folder(Path(folder), self.config, {**borrowed_vectors(self), **self.state_dict()}, dtype)

    def forward(
        self,
        z_t: Tensor,
        t: Tensor | float,
        text: Tensor,
        condition: Tensor | None = None,
        *,
        features: Tensor | None = None,
        control_embedding: Tensor | None = None,
        added_conditions: AddedConditions | None = None,
    ) -> Residuals:
        """The residuals of one step.

        Args:
            z_t: noisy latents, (B, C, h, w).
            t: the step, a number or (B,), 0 … 999.
            text: text states, (B, N, D).
            condition: condition images, (B or 1, 3, 8h, 8w) in [0, 1].
            features: instead of the condition, `encode_condition(condition)`, computed once for all steps.
            control_embedding: of a ControlNet-Union whose features are of several conditions (`encode_conditions`).
            added_conditions: for SDXL.

        Raises:
            ValueError: when sizes do not fit, or neither or both of condition and features are given.
        """
        if (condition is None) == (features is None):
            raise ValueError("give either `condition` or `features`, got " + ("neither" if features is None else "both"))
        features = features if condition is None else self.encode_condition(condition)
        assert features is not None, "one of them is given"
        if features.shape[-2:] != z_t.shape[-2:]:
            raise ValueError(
                f"the condition's features are {tuple(features.shape[-2:])}, the latents {tuple(z_t.shape[-2:])}: "
                f"a condition must have 8 times the latents' size, here {tuple(8 * s for s in z_t.shape[-2:])} pixels"
            )
        embedding = embed(self, z_t, t, added_conditions)
        if self.config.union is not None:
            embedding = embedding + (self.embed_condition() if control_embedding is None else control_embedding)
        skips, middle = run_encoder(self, self.conv_in(z_t) + features, embedding, text)
        residuals = Residuals.of_unet(
            [zero(skip) for zero, skip in zip(self.controlnet_down_blocks, skips, strict=True)],
            self.controlnet_mid_block(middle),
        )
        return residuals.pool() if self.config.global_pool_conditions else residuals

    def encode_condition(self, condition: Tensor) -> Tensor:
        """E(c), which no step changes: (B, C_1, H/8, W/8) from condition images (B, 3, H, W) in [0, 1].

        Raises:
            ValueError: when the number of channels is not this network's.
        """
        expected = self.config.conditioning_channels
        if condition.ndim != 4 or condition.shape[1] != expected:
            raise ValueError(f"condition has shape {tuple(condition.shape)}; expected (B, {expected}, H, W) in [0, 1]")
        if self.config.channel_order == "bgr":
            condition = condition.flip(1)
        if self.config.union is None:
            return self.controlnet_cond_embedding(condition)
        return self.encode_conditions([self.config.condition], [condition])[0]

    def check_base(self, unet: UNet2DConditionModel) -> None:
        """Refuse a base that this ControlNet was not made for.

        A low-rank network acts on the base whose weights it borrows alone, or on one with equal weights.

        Raises:
            ValueError: naming what differs.
        """
        self.config.check_base(unet)
        if not borrows_from(self, unet):
            raise ValueError(
                "this low-rank ControlNet borrows the weights of another base than the one given: open it with "
                "ControlNet.from_pretrained(…, unet=base.unet), or move it with transfer(from_base, to_base)"
            )
