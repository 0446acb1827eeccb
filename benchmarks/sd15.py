"""Stable Diffusion 1.5 by shape, with random weights, and pictures to train on: what the LoRA benchmarks share."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset, Features, Image
from PIL import Image as Pictures

import tamis.tiny

TOKENIZER = Path(tamis.tiny.__file__).parent / "weights" / "sd" / "tokenizer"


def save_model(folder: Path) -> None:
    """The shapes of SD 1.5; the tokenizer is a small one, its texts padded to the same 77 tokens."""
    from diffusers import AutoencoderKL, DDPMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    torch.manual_seed(0)
    vae = AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
    )
    text = CLIPTextConfig(
        vocab_size=49408, hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12
    )
    StableDiffusionPipeline(
        vae=vae,
        text_encoder=CLIPTextModel(text),
        tokenizer=CLIPTokenizer.from_pretrained(TOKENIZER, model_max_length=77),
        unet=UNet2DConditionModel(sample_size=64, cross_attention_dim=768),
        scheduler=DDPMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)


def pictures(count: int, *, first: int, side: int) -> Dataset:
    """Squares of smooth noise; every number is another picture."""
    cells = []
    for number in range(first, first + count):
        few = np.random.default_rng(number).integers(0, 255, (8, 8, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Pictures.fromarray(few).resize((side, side)).save(buffer, "PNG")
        cells.append({"bytes": buffer.getvalue(), "path": None})
    return Dataset.from_dict({"image": cells}, features=Features({"image": Image(decode=False)}))
