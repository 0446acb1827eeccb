"""A diffusion model as training sees it: images to latents, captions to conditions, noisy latents to a prediction.

Stable Diffusion 1.x, 2.x and XL differ in how many text encoders they have and in what else they are told; the table
below holds that, and no other file of training knows which one it has.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tamis import models
from tamis.config import ConfigError
from tamis.training.buckets import STEP, Framed
from tamis.training.objective import noise_schedule

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline


@dataclass(frozen=True)
class Family:
    text_encoders: tuple[str, ...]
    told_sizes: bool  # and of the pooled text
    not_loaded: tuple[str, ...] = ()
    unread_layers: dict[str, int] = field(default_factory=dict)  # at a text encoder's end: training cannot reach them
    drawn_with: dict[str, bool] = field(default_factory=dict)  # settings of a pipeline that only draws


FAMILIES = {
    "StableDiffusionPipeline": Family(
        ("text_encoder",),
        told_sizes=False,
        not_loaded=("safety_checker",),
        drawn_with={"requires_safety_checker": False},
    ),
    "StableDiffusionXLPipeline": Family(
        ("text_encoder", "text_encoder_2"),
        told_sizes=True,
        unread_layers={"text_encoder": 1},  # it is read one layer before its last; of the second, the end is pooled
        drawn_with={"add_watermarker": False},
    ),
}


@dataclass(frozen=True)
class Latents:
    """What the VAE knows of an image: a distribution, not a sample, so that every step draws its own."""

    mean: torch.Tensor
    deviation: torch.Tensor
    sizes: torch.Tensor  # original height and width, top and left of what was kept, height and width now


@dataclass(frozen=True)
class Text:
    embedding: torch.Tensor  # (tokens, width)
    pooled: torch.Tensor | None

    def to(self, device: str | torch.device) -> Text:
        return Text(self.embedding.to(device), None if self.pooled is None else self.pooled.to(device))


class DiffusionModel:
    """The parts of a pipeline, on the device while they are needed. Nothing of it is trained itself."""

    def __init__(
        self, pipeline: DiffusionPipeline, *, base_model: str, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.pipeline = pipeline
        self.family = FAMILIES[type(pipeline).__name__]
        self.device = device
        self.dtype = dtype
        self.schedule = noise_schedule(pipeline.scheduler.config, base_model)
        pipeline.set_progress_bar_config(disable=True)
        for part in (pipeline.unet, pipeline.vae, *self.text_encoders.values()):
            part.requires_grad_(False)
            part.eval()

    @property
    def unet(self) -> torch.nn.Module:
        return self.pipeline.unet

    @property
    def text_encoders(self) -> dict[str, torch.nn.Module]:
        return {name: getattr(self.pipeline, name) for name in self.family.text_encoders}

    @cached_property
    def bucket_step(self) -> int:
        """64 pixels are 8 latents of Stable Diffusion; a smaller VAE's steps are smaller."""
        return min(STEP, 8 * self.pipeline.vae_scale_factor)

    @torch.no_grad()
    def latents(self, image: Framed) -> Latents:
        pixels = torch.tensor(image.pixels, device=self.device).permute(2, 0, 1)[None] / 127.5 - 1
        found = self.pipeline.vae.encode(pixels).latent_dist
        scale = self.pipeline.vae.config.scaling_factor
        sizes = torch.tensor([*image.original, *image.corner, *image.bucket], dtype=torch.float32)
        return Latents((found.mean[0] * scale).cpu(), (found.std[0] * scale).cpu(), sizes)

    def text(self, caption: str) -> Text:
        encoded = self.pipeline.encode_prompt(
            caption, device=self.device, num_images_per_prompt=1, do_classifier_free_guidance=False
        )
        found = Text(encoded[0][0], encoded[2][0] if self.family.told_sizes else None)
        if not caption and self.family.told_sizes and self.pipeline.config.force_zeros_for_empty_prompt:
            return Text(torch.zeros_like(found.embedding), torch.zeros_like(found.pooled))
        return found

    def predict(
        self, noisy: torch.Tensor, timesteps: torch.Tensor, texts: list[Text], sizes: list[torch.Tensor]
    ) -> torch.Tensor:
        told = None
        if self.family.told_sizes:
            told = {
                "text_embeds": torch.stack([text.pooled for text in texts]).to(self.device),
                "time_ids": torch.stack(sizes).to(self.device),
            }
        embeddings = torch.stack([text.embedding for text in texts]).to(self.device)
        return self.unet(
            noisy.to(self.dtype), timesteps, embeddings.to(self.dtype), added_cond_kwargs=told, return_dict=False
        )[0]

    def mixed(self) -> AbstractContextManager:
        """Around forward passes: weights that are trained stay float32, what is computed with them is the model's."""
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, self.dtype)

    def bring(self, *parts: torch.nn.Module) -> None:
        for part in parts:
            part.to(self.device)

    def send_away(self, *parts: torch.nn.Module) -> None:
        """Off the device: a card has better use for the memory while the UNet trains."""
        for part in parts:
            part.to("cpu")
        if self.device.type != "cpu":
            torch.accelerator.empty_cache()


def training_dtype() -> torch.dtype:
    """float16 has too short a range for gradients; cards without bfloat16 train in float32."""
    found = models.dtype()
    return torch.float32 if found == torch.float16 else found


def load(base_model: str, revision: str) -> DiffusionModel:
    from diffusers import DiffusionPipeline

    models.release()
    where: dict[str, Any] = {} if Path(base_model).is_dir() else {"revision": revision}
    kind = DiffusionPipeline.load_config(base_model, **where)["_class_name"]
    if kind not in FAMILIES:
        raise ConfigError(f"base_model: {base_model} is a {kind}; expected one of {', '.join(FAMILIES)}")
    pipeline = DiffusionPipeline.from_pretrained(
        base_model,
        dtype={"vae": torch.float32, "default": training_dtype()},  # SDXL's VAE overflows in half precision
        use_safetensors=True,
        **dict.fromkeys(FAMILIES[kind].not_loaded),
        **where,
    )
    return DiffusionModel(pipeline, base_model=base_model, device=models.device(), dtype=training_dtype())
