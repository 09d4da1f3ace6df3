"""What the clients of AUTOMATIC1111's API send, by its names and with its defaults; what is not named here is let in and told.

Source of names and defaults: `modules/api/models.py` and `modules/processing.py` of AUTOMATIC1111/stable-diffusion-webui, and
`internal_controlnet/args.py` of Mikubill/sd-webui-controlnet.
"""

from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

__all__ = ["DetectBody", "ImageToImageBody", "OptionsBody", "PictureBody", "TextToImageBody", "UnitBody"]

Count = Annotated[int, Field(ge=1, le=10_000)]
Side = Annotated[int, Field(ge=1, le=16_384)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class Loose(BaseModel):
    """A body whose unknown fields are kept in `model_extra`."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())


class OptionsBody(Loose):
    """Options by name."""


class PictureBody(Loose):
    """A picture.

    Attributes:
        image: base64 text.
    """

    image: str = ""


class UnitBody(Loose):
    """A unit of the ControlNet extension.

    Attributes:
        enabled: whether it counts.
        module: the preprocessor.
        model: the ControlNet.
        weight: its strength.
        image: base64 text, or an object with "image" and "mask".
        mask: where it is painted anew, for the modules of inpainting.
        effective_region_mask: where the unit acts.
        resize_mode: by name or number.
        processor_res: pixels of the shorter side at which the preprocessor sees the picture; -1 is the picture's own.
        threshold_a: of the preprocessor; -1 is its default.
        threshold_b: the same.
        guidance_start: share of the steps.
        guidance_end: share of the steps.
        control_mode: by name or number.
        pixel_perfect: whether the preprocessor sees the picture at the size of the result.
        save_detected_map: whether the answer has the map too.
        union_control_type: of a ControlNet-Union, which of its conditions it follows; "Unknown" says nothing.
    """

    enabled: bool = True
    module: str | None = "none"
    model: str | None = "None"
    weight: Number = 1.0
    image: Any = Field(default=None, validation_alias=AliasChoices("image", "input_image"))
    mask: str | None = Field(default=None, validation_alias=AliasChoices("mask", "mask_image"))
    effective_region_mask: str | None = None
    resize_mode: str | int = "Crop and Resize"
    processor_res: int = Field(default=-1, le=4096)
    threshold_a: Number = -1
    threshold_b: Number = -1
    guidance_start: Annotated[float, Field(ge=0, le=1)] = 0.0
    guidance_end: Annotated[float, Field(ge=0, le=1)] = Field(
        default=1.0, validation_alias=AliasChoices("guidance_end", "guidance")
    )
    control_mode: str | int = "Balanced"
    pixel_perfect: bool = False
    save_detected_map: bool = True
    union_control_type: str | None = "Unknown"


class TextToImageBody(Loose):
    """The body of `txt2img`.

    Attributes:
        prompt: what to see.
        negative_prompt: what not to see.
        seed: of the first picture; -1 is any.
        sampler_name: the sampler.
        sampler_index: its older name.
        scheduler: of its noise levels.
        batch_size: pictures at a time.
        n_iter: how often.
        steps: of denoising.
        cfg_scale: of guidance.
        width: pixels; the base's own if left out.
        height: pixels.
        eta: of the sampler's noise.
        override_settings: options for this request.
        override_settings_restore_afterwards: whether they end with it.
        alwayson_scripts: by name; "controlnet" is known.
        send_images: whether the answer has the pictures.
    """

    prompt: str = ""
    negative_prompt: str | None = ""
    seed: int | None = -1
    sampler_name: str | None = None
    sampler_index: str | None = "Euler"
    scheduler: str | None = None
    batch_size: Count | None = 1
    n_iter: Count | None = 1
    steps: Count | None = 50
    cfg_scale: Number | None = 7.0
    width: Side | None = None
    height: Side | None = None
    eta: Number | None = None
    override_settings: dict[str, Any] | None = None
    override_settings_restore_afterwards: bool | None = True
    alwayson_scripts: dict[str, Any] | None = None
    send_images: bool = True


class ImageToImageBody(TextToImageBody):
    """The body of `img2img`.

    Attributes:
        init_images: one picture to start from.
        denoising_strength: share of the steps that are run.
        resize_mode: how the picture is fitted: 0 stretched, 1 cut, 2 filled up.
        mask: white is painted anew.
        mask_blur: standard deviation in pixels; sets both others.
        mask_blur_x: across.
        mask_blur_y: down.
        inpainting_fill: what the hole begins with: 0 the colours around it, 1 the picture.
        inpainting_mask_invert: 1 paints black anew.
        inpaint_full_res: whether only the part around the mask is made, at the size that is asked for.
        inpaint_full_res_padding: pixels around it.
        include_init_images: whether `parameters` has the pictures too.
    """

    init_images: list[str] | None = None
    denoising_strength: Annotated[float, Field(ge=0, le=1)] | None = 0.75
    resize_mode: Annotated[int, Field(ge=0, le=3)] = 0
    mask: str | None = None
    mask_blur: Number | None = None
    mask_blur_x: Number = 4
    mask_blur_y: Number = 4
    inpainting_fill: int | None = 0
    inpainting_mask_invert: Annotated[int, Field(ge=0, le=1)] | None = 0
    inpaint_full_res: bool | None = True
    inpaint_full_res_padding: Annotated[int, Field(ge=0, le=4096)] | None = 0
    include_init_images: bool = False


class DetectBody(Loose):
    """The body of `/controlnet/detect`.

    Attributes:
        controlnet_module: the preprocessor.
        controlnet_input_images: base64 texts.
        controlnet_masks: for the modules of inpainting.
        controlnet_processor_res: as of a unit.
        controlnet_threshold_a: as of a unit.
        controlnet_threshold_b: as of a unit.
    """

    controlnet_module: str = "none"
    controlnet_input_images: list[str] = Field(
        default=[], validation_alias=AliasChoices("controlnet_input_images", "controlnet_images"), max_length=16
    )
    controlnet_masks: list[str] = []
    controlnet_processor_res: int = Field(default=-1, le=4096)
    controlnet_threshold_a: Number = -1
    controlnet_threshold_b: Number = -1
