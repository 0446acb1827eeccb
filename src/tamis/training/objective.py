"""What the model is asked to predict, and how wrong it was: noise or velocity, as its scheduler says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from tamis.config import ConfigError
from tamis.seeds import seed_of

if TYPE_CHECKING:
    from diffusers import DDPMScheduler

PREDICTIONS = ("epsilon", "v_prediction")


@dataclass(frozen=True)
class Draw:
    """The chances of one sample at one step."""

    of_latents: torch.Tensor  # where in the distribution that the VAE gives for the image
    noise: torch.Tensor
    timestep: int


def draws(seed: int, name: str, step: int, shapes: list[torch.Size], timesteps: int) -> list[Draw]:
    """From a generator of this step's own, on the CPU: the same on every device, and nothing to store for a resume."""
    generator = torch.Generator().manual_seed(seed_of("step", seed, name, step))
    return [
        Draw(
            torch.randn(shape, generator=generator),
            torch.randn(shape, generator=generator),
            int(torch.randint(timesteps, (), generator=generator)),
        )
        for shape in shapes
    ]


def noise_schedule(config: Any, base_model: str) -> DDPMScheduler:
    """The base model's, whatever sampler its repo names: samplers differ in how they add noise, training does not."""
    from diffusers import DDPMScheduler

    schedule = DDPMScheduler.from_config(config)
    kind = schedule.config.prediction_type
    if kind not in PREDICTIONS:
        raise ConfigError(f"base_model: {base_model} predicts {kind!r}; expected one of {', '.join(PREDICTIONS)}")
    return schedule


def target(
    schedule: DDPMScheduler, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor
) -> torch.Tensor:
    if schedule.config.prediction_type == "v_prediction":
        return schedule.get_velocity(latents, noise, timesteps)
    return noise


def weights(schedule: DDPMScheduler, timesteps: torch.Tensor, gamma: float) -> torch.Tensor:
    """Min-SNR-gamma (arXiv 2303.09556). Its weight, min(SNR, gamma), is one of errors of the clean image: an error of
    the noise is SNR times one of those, an error of the velocity SNR + 1 times."""
    from diffusers.training_utils import compute_snr

    snr = compute_snr(schedule, timesteps)
    clipped = snr.clamp(max=gamma)
    if schedule.config.prediction_type == "v_prediction":
        return clipped / (snr + 1)
    # Where a schedule ends in noise alone SNR is 0: the limit of the quotient is 1.
    return torch.where(snr > 0, clipped / snr, 1.0)


def preference(
    better: torch.Tensor, worse: torch.Tensor, without: tuple[torch.Tensor, torch.Tensor], beta: float
) -> torch.Tensor:
    """Diffusion-DPO (arXiv 2311.12908), a loss each pair: by how much more than without the adapter the better
    picture's noise is told than the worse one's. All are errors(); without: the better's and the worse's without it."""
    gained = (worse - better) - (without[1] - without[0])
    return -torch.nn.functional.logsigmoid(0.5 * beta * gained)


def errors(predicted: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """The mean squared error of each sample, in float32."""
    return (predicted.float() - wanted.float()).square().flatten(1).mean(1)
