"""The AutoencoderKL of tiny/sd: 64 x 64 x 3 pixels to 16 x 16 x 4 latents and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tamis.tiny import world
from tamis.tiny.zoo import sight

if TYPE_CHECKING:
    import torch
    from torch import nn


class AutoencoderLesson:
    name = "autoencoder"
    steps = 4800
    average = None
    learning_rate = 1.5e-3
    pictures = 16

    def model(self) -> nn.Module:
        import torch
        from diffusers import AutoencoderKL

        torch.manual_seed(0)
        return AutoencoderKL(
            in_channels=3,
            out_channels=3,
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            block_out_channels=(32, 48, 64),
            layers_per_block=1,
            latent_channels=4,
            norm_num_groups=16,
            sample_size=world.SIDE,
            mid_block_add_attention=False,
        ).to(memory_format=torch.channels_last)

    def batch(self, step: int) -> dict[str, Any]:
        first = world.SEEDS["train"].start + 1_000_000 + step * self.pictures
        # No defects: what the diffusion model is to draw has none, and grain cannot be learnt.
        scenes = [world.scene(seed, things=(1, 1, 1, 2, 3)) for seed in range(first, first + self.pictures)]
        return {"pixels": sight.pixels(scenes) * sight.STD / 0.5}  # diffusers: -1..1

    def loss(self, model: Any, batch: dict[str, Any]) -> tuple[torch.Tensor, dict[str, float]]:
        pixels = batch["pixels"]
        posterior = model.encode(pixels).latent_dist
        rebuilt = model.decode(posterior.sample()).sample
        error = (rebuilt - pixels).abs().mean()
        # Edges and patterns are few pixels and all the meaning: differences between neighbours count besides.
        edges = sum(((rebuilt - pixels).diff(dim=axis)).abs().mean() for axis in (2, 3))
        kl = posterior.kl().mean() / pixels[0].numel()
        figures = {"error": error.item(), "edges": edges.item(), "kl": kl.item()}
        return error + edges + 2e-4 * kl * 4, figures
