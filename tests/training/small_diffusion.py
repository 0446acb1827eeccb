"""Small models of the real classes, with random weights, and rows to train them on."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset, Features, Image, Value
from PIL import Image as Pictures
from safetensors.torch import load_file

import tamis.tiny
from tamis.training.diffusion_lora import DiffusionLora

SD2 = Path(tamis.tiny.__file__).parent / "weights" / "sd"  # predicts velocity, zero terminal SNR
SIDE = 32


def picture(seed: int, size: tuple[int, int] = (40, 40)) -> dict[str, Any]:
    numbers = np.random.default_rng(seed)
    few = Pictures.fromarray(numbers.integers(0, 255, (4, 4, 3), dtype=np.uint8))
    buffer = io.BytesIO()
    few.resize(size).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def rows(*seeds: int, size: tuple[int, int] = (40, 40)) -> Dataset:
    return of_cells([picture(seed, size) for seed in seeds])


def of_cells(cells: list[Any], captions: list[str | None] | None = None) -> Dataset:
    features: dict[str, Any] = {"image": Image(decode=False)}
    columns: dict[str, list[Any]] = {"image": cells}
    if captions is not None:
        features["text"] = Value("string")
        columns["text"] = captions
    return Dataset.from_dict(columns, features=Features(features))


def settings(base_model: Path, **changed: Any) -> DiffusionLora:
    """Few steps, large ones: what moves by rounding alone would be taken for learnt otherwise."""
    given = {
        "base_model": str(base_model),
        "resolution": SIDE,
        "lora_r": 4,
        "lora_alpha": 3.0,
        "max_train_steps": 3,
        "learning_rate": 1e-2,
        "checkpoint_seconds": 3600.0,
    }
    return DiffusionLora(**given | changed)


def captions(*names: str) -> dict[str, str]:
    return {name: f"a photo of a red star number {place}" for place, name in enumerate(names)}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "pytorch_lora_weights.safetensors")


def apart(these: dict[str, torch.Tensor], those: dict[str, torch.Tensor]) -> float:
    """How far apart two adapters of one beginning are, as a share of how far they went (B begins at zero).

    Not 0 for what is the same but for rounding: Adam's first steps are as long for tiny gradients as for large ones.
    """
    assert these.keys() == those.keys()
    went = torch.stack([these[name].norm() for name in these if "lora_B" in name]).norm()
    between = torch.stack([(these[name] - those[name]).norm() for name in these]).norm()
    return float(between / went)


SAME = 5e-3  # but for rounding


def equal(these: dict[str, torch.Tensor], those: dict[str, torch.Tensor]) -> bool:
    """To the last bit."""
    return these.keys() == those.keys() and all(torch.equal(these[name], those[name]) for name in these)


def _unet(text_width: int, **more: Any) -> Any:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=SIDE // 4,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=text_width,
        attention_head_dim=2,
        norm_num_groups=4,
        **more,
    )


def _vae() -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        norm_num_groups=4,
        layers_per_block=1,
        latent_channels=4,
        sample_size=SIDE,
    )


def _text_config(**more: Any) -> Any:
    from transformers import CLIPTextConfig

    return CLIPTextConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        vocab_size=740,
        max_position_embeddings=32,
        bos_token_id=738,
        eos_token_id=739,
        pad_token_id=739,
        **more,
    )


def save_sd1(folder: Path) -> None:
    """By shape and objective a Stable Diffusion 1.5: predicts noise, its sampler is PNDM."""
    from diffusers import PNDMScheduler, StableDiffusionPipeline
    from transformers import CLIPTextModel, CLIPTokenizer

    torch.manual_seed(0)
    schedule = PNDMScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, skip_prk_steps=True, steps_offset=1
    )
    StableDiffusionPipeline(
        vae=_vae(),
        text_encoder=CLIPTextModel(_text_config()),
        tokenizer=CLIPTokenizer.from_pretrained(SD2 / "tokenizer"),
        unet=_unet(16),
        scheduler=schedule,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)


def save_sdxl(folder: Path) -> None:
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline
    from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

    torch.manual_seed(1)
    tokenizer = CLIPTokenizer.from_pretrained(SD2 / "tokenizer")
    StableDiffusionXLPipeline(
        vae=_vae(),
        text_encoder=CLIPTextModel(_text_config()),
        text_encoder_2=CLIPTextModelWithProjection(_text_config(projection_dim=16)),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=_unet(
            32,
            use_linear_projection=True,
            transformer_layers_per_block=(1, 2),
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=8 * 6 + 16,
        ),
        scheduler=EulerDiscreteScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012),
    ).save_pretrained(folder)


def peer_of(stack: Any, unet: Any, config: DiffusionLora) -> tuple[dict[str, torch.nn.Parameter], Any]:
    """PEFT's own adapter on this model, begun as the stack's first one: its layers, and their AdamW."""
    from peft import LoraConfig

    unet.add_adapter(LoraConfig(r=4, lora_alpha=3.0, target_modules=["to_k", "to_q", "to_v", "to_out.0"]))
    layers = dict(unet.named_parameters())
    for target, down, _ in stack.matrices(0):
        layers[f"{target.path}.lora_A.default.weight"].data.copy_(down)
    trainable = [parameter for parameter in layers.values() if parameter.requires_grad]
    return layers, torch.optim.AdamW(trainable, lr=config.learning_rate, weight_decay=config.adam_weight_decay)


def apart_from_peer(stack: Any, layers: dict[str, torch.nn.Parameter]) -> float:
    """How far the stack's first adapter is from PEFT's, as apart() tells it.

    Of the whole adapter: where a gradient is nothing but rounding, Adam's first steps go as far one way or the other,
    and which way differs from processor to processor.
    """
    mine, theirs = {}, {}
    for target, down, up in stack.matrices(0):
        for own, name in ((down, "lora_A"), (up, "lora_B")):
            layer = f"{target.path}.{name}.default.weight"
            mine[layer], theirs[layer] = own, layers[layer].detach()
    return apart(mine, theirs)
