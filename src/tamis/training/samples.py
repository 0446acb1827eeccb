"""Pictures drawn while an adapter is being trained, for the tracker or for a folder: is it learning what it should?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from tamis.seeds import seed_of

if TYPE_CHECKING:
    from accelerate.tracking import GeneralTracker
    from PIL import Image

    from tamis.training.diffusion_models import DiffusionModel, Text
    from tamis.training.stack_training import StackTraining

NO_WORDS = ""  # what guidance leads away from
STEPS, GUIDANCE = 25, 7.5


def sample(training: StackTraining, trackers: list[GeneralTracker], folder: Path) -> None:
    """One picture an adapter, of its first caption, from the same noise each time."""
    from accelerate.tracking import TensorBoardTracker, WandBTracker

    pictures: dict[str, Image.Image] = {}
    model = training.model
    model.bring(model.pipeline.vae)
    for place, name in enumerate(training.names):
        caption = training.examples.rows[name][0].caption
        with training.stack.only(place), torch.no_grad():
            texts = [training.examples.texts.get(words) or model.text(words) for words in (caption, NO_WORDS)]
            pictures[name] = draw(model, *texts, seed=seed_of("sample", training.seed, caption))
    model.send_away(model.pipeline.vae)
    takers = [tracker for tracker in trackers if isinstance(tracker, TensorBoardTracker | WandBTracker)]
    for tracker in takers:
        shown = {f"samples/{name}": np.asarray(picture)[None] for name, picture in pictures.items()}
        if isinstance(tracker, TensorBoardTracker):
            tracker.log_images(shown, step=training.step, dataformats="NHWC")
        else:
            tracker.log_images(shown, step=training.step)
    if not takers:
        for name, picture in pictures.items():
            path = folder / name / f"step-{training.step:06d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path)


def draw(
    model: DiffusionModel, text: Text, no_words: Text, *, seed: int, steps: int = STEPS, guidance: float = GUIDANCE
) -> Image.Image:
    """A picture by the model as it is now. Its text encoder may have left the device: only encoded texts are needed."""
    pooled = {}
    if model.family.told_sizes:
        pooled = {
            "pooled_prompt_embeds": text.pooled[None].to(model.device, model.dtype),
            "negative_pooled_prompt_embeds": no_words.pooled[None].to(model.device, model.dtype),
        }
    parts = model.pipeline.components | dict.fromkeys(model.family.text_encoders)
    pipeline = type(model.pipeline)(**parts, **model.family.drawn_with)
    pipeline.set_progress_bar_config(disable=True)
    with model.mixed():
        return pipeline(
            prompt_embeds=text.embedding[None].to(model.device, model.dtype),
            negative_prompt_embeds=no_words.embedding[None].to(model.device, model.dtype),
            num_inference_steps=steps,
            guidance_scale=guidance,
            generator=torch.Generator().manual_seed(seed),
            **pooled,
        ).images[0]
