"""diffusers' own train_text_to_image_lora.py, run by its path and unchanged; run by diffusion_lora.py.

Every chance is steered from outside, so that it takes the same steps as its peer: the order of images, where in the
VAE's distribution latents lie, noise, timesteps and the first LoRA weights come from a file. Losses and the time of
each step are noted on the way and printed as one JSON line.

Where torchvision is missing the five of its transforms that the script builds are stood in for; the pictures have the
right size already, so that they have nothing to do but turn a picture into numbers.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import runpy
import sys
import time
import types
from collections.abc import Callable
from enum import Enum
from typing import Any

import numpy as np
import torch


def stand_in_for_torchvision() -> None:
    class InterpolationMode(Enum):
        BILINEAR = "bilinear"
        LANCZOS = "lanczos"

    class Compose:
        def __init__(self, steps: list[Callable[[Any], Any]]) -> None:
            self.steps = steps

        def __call__(self, image: Any) -> Any:
            for step in self.steps:
                image = step(image)
            return image

    def to_tensor() -> Callable[[Any], torch.Tensor]:
        return lambda image: torch.tensor(np.asarray(image)).permute(2, 0, 1) / 255

    def normalize(mean: list[float], deviation: list[float]) -> Callable[[Any], torch.Tensor]:
        return lambda pixels: (pixels - mean[0]) / deviation[0]

    transforms = types.ModuleType("torchvision.transforms")
    transforms.InterpolationMode = InterpolationMode
    transforms.Compose = Compose
    transforms.Resize = transforms.CenterCrop = lambda *told, **more: lambda image: image
    transforms.Lambda = lambda step: step
    transforms.ToTensor, transforms.Normalize = to_tensor, normalize
    module = types.ModuleType("torchvision")
    module.transforms = transforms
    sys.modules |= {"torchvision": module, "torchvision.transforms": transforms}


def main(script: str, told_path: str) -> None:
    # Imported before the stand-in: they look for torchvision themselves, and would use it.
    import accelerate  # noqa: F401
    import datasets  # noqa: F401
    import diffusers
    import transformers  # noqa: F401
    from diffusers import StableDiffusionPipeline, UNet2DConditionModel  # noqa: F401
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

    told = torch.load(told_path, weights_only=True)
    torch.set_num_threads(told["threads"])
    losses: list[float] = []
    moments: list[tuple[float, float]] = []  # on the clock, of the processor

    mse = torch.nn.functional.mse_loss

    def noted(*given: Any, **more: Any) -> torch.Tensor:
        loss = mse(*given, **more)
        losses.append(float(loss.detach()))
        return loss

    randn_like, randint = torch.randn_like, torch.randint
    noises, timesteps, chances = iter(told["noise"]), iter(told["timesteps"]), iter(told["of_latents"])

    def noise_like(like: torch.Tensor, **more: Any) -> torch.Tensor:
        if like.shape != told["noise"][0].shape:
            return randn_like(like, **more)
        if like.is_cuda:
            torch.cuda.synchronize()
        moments.append((time.perf_counter(), time.process_time()))  # once a step: from one to the next is a whole step
        return next(noises).to(like)

    def timestep(*given: Any, **more: Any) -> torch.Tensor:
        return next(timesteps).to(more.get("device", "cpu")) if given[1:] == (1000, (1,)) else randint(*given, **more)

    add_adapter = UNet2DConditionModel.add_adapter

    def begun(self: UNet2DConditionModel, config: Any, **more: Any) -> None:
        add_adapter(self, config, **more)
        for name, parameter in self.named_parameters():
            if parameter.requires_grad:
                parameter.data.copy_(told["begun"][name.replace(".default", "")])

    torch.utils.data.RandomSampler.__iter__ = lambda self: iter(told["order"])
    torch.utils.data.RandomSampler.__len__ = lambda self: len(told["order"])
    torch.nn.functional.mse_loss = noted
    torch.randn_like, torch.randint = noise_like, timestep
    DiagonalGaussianDistribution.sample = lambda self, generator=None: (
        self.mean + self.std * next(chances).to(self.mean)
    )
    UNet2DConditionModel.add_adapter = begun
    diffusers.utils.check_min_version = lambda version: None  # it is of a later day than the installed release
    if importlib.util.find_spec("torchvision") is None:
        stand_in_for_torchvision()
    sys.argv = [script, *told["arguments"]]
    with contextlib.redirect_stdout(io.StringIO()):
        runpy.run_path(script, run_name="__main__")
    print(json.dumps({"losses": losses, "moments": moments}))


if __name__ == "__main__":
    main(*sys.argv[1:])
