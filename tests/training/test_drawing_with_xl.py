"""Prompts are encoded apart from the pipeline: what XL draws stays what its pipeline draws."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from diffusers import StableDiffusionXLPipeline
from PIL import Image

from tamis.generate import Drawing
from tamis.scoring import attach_scores

PROMPT = "a red plain circle on white ground"


def test_xl_draws_as_the_librarys_pipeline_does(run, sdxl: Path) -> None:
    drawing = Drawing(str(sdxl), adapter_column=None, num_inference_steps=2, guidance_scale=4.0, side=32)
    for negative in (None, "a blue star"):
        rows = Dataset.from_dict({"prompt": [PROMPT] * 2, "image_seed": [1, 2]})
        settings = {"num_inference_steps": 2, "guidance_scale": 4.0, "width": 32, "height": 32}
        drawn = attach_scores(rows, Drawing(**vars(drawing) | {"negative_prompt": negative}), run=run)["image"]
        pipeline = StableDiffusionXLPipeline.from_pretrained(sdxl)
        for cell, seed in zip(drawn, (1, 2), strict=True):
            generator = torch.Generator("cpu").manual_seed(seed)
            made = pipeline(PROMPT, negative_prompt=negative, generator=generator, **settings).images[0]
            ours = np.asarray(Image.open(io.BytesIO(cell["bytes"])), dtype=int)
            assert np.abs(np.asarray(made, dtype=int) - ours).max() <= 2 and ours.std() > 1
