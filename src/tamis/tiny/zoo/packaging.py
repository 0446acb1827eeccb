"""Trained models to folders that plain from_pretrained reads: weights in float16, said to be computed in float32."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tamis.tiny import world
from tamis.tiny.zoo import sight

if TYPE_CHECKING:
    from torch import nn

TEMPLATES = Path(__file__).resolve().parent / "templates"
SIZE = {"height": world.SIDE, "width": world.SIDE}
LOOK = {"image_mean": [sight.MEAN] * 3, "image_std": [sight.STD] * 3}


def is_whole(folder: Path) -> bool:
    """Packaged and measured: the card is written last."""
    return (folder / "README.md").exists()


def save(name: str, model: nn.Module, tokenizer: Any, folder: Path, **parts: Any) -> None:
    """Writes a model of the zoo with all that goes with it; the folder is replaced once it is whole."""
    fresh = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    model.to("cpu")
    tokenizer = copy.deepcopy(tokenizer)
    for key in ("is_local", "local_files_only"):  # where it was read from is nobody's business
        tokenizer.init_kwargs.pop(key, None)
    _SAVERS[name](model, tokenizer, fresh, **parts)
    for config in fresh.rglob("config.json"):
        settings = json.loads(config.read_text(encoding="utf-8"))
        # Without this, from_pretrained would compute in float16, which CPUs do slowly and the scorers do not expect.
        settings |= {"dtype": "float32"} if "model_type" in settings else {}
        config.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


def _clip(model: Any, tokenizer: Any, folder: Path) -> None:
    from transformers import CLIPImageProcessor, CLIPProcessor

    del model.heads
    _transformers(model, folder)
    CLIPProcessor(CLIPImageProcessor(size=SIZE, do_center_crop=False, **LOOK), tokenizer).save_pretrained(folder)


def _detector(model: Any, tokenizer: Any, folder: Path) -> None:
    from transformers import OwlViTImageProcessor, OwlViTProcessor

    _transformers(model, folder)
    tokenizer.pad_token = tokenizer.convert_ids_to_tokens(0)  # below the end's number, which marks the end
    OwlViTProcessor(OwlViTImageProcessor(size=SIZE, do_center_crop=False, **LOOK), tokenizer).save_pretrained(folder)


def _blip(model: Any, tokenizer: Any, folder: Path) -> None:
    from transformers import BlipImageProcessor, BlipProcessor

    _transformers(model, folder)
    BlipProcessor(BlipImageProcessor(size=SIZE, **LOOK), tokenizer).save_pretrained(folder)


def _llm(model: Any, tokenizer: Any, folder: Path) -> None:
    _transformers(model, folder)
    tokenizer.chat_template = (TEMPLATES / "chat_template.jinja").read_text(encoding="utf-8")
    _to_generate(tokenizer)
    tokenizer.save_pretrained(folder)
    _decides(folder)


def _vlm(model: Any, tokenizer: Any, folder: Path) -> None:
    from transformers import CLIPImageProcessor, LlavaProcessor

    _transformers(model, folder)
    template = (TEMPLATES / "chat_template.jinja").read_text(encoding="utf-8")
    _to_generate(tokenizer)
    LlavaProcessor(
        CLIPImageProcessor(size=SIZE, do_center_crop=False, **LOOK),
        tokenizer,
        patch_size=sight.PATCH,
        vision_feature_select_strategy="default",
        chat_template=template,
        num_additional_image_tokens=1,  # the class token, which "default" leaves out again
    ).save_pretrained(folder)
    _decides(folder)


def _sd(model: Any, tokenizer: Any, folder: Path, *, autoencoder: Any) -> None:
    import torch
    from diffusers import StableDiffusionPipeline

    from tamis.tiny.zoo.diffusion import scheduler

    pipeline = StableDiffusionPipeline(
        vae=autoencoder.to(torch.float16),
        text_encoder=model["text"].to(torch.float16),
        tokenizer=tokenizer,
        unet=model["unet"].to(torch.float16),
        scheduler=scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder)


def _to_generate(tokenizer: Any) -> None:
    """Batches are padded on the left, where nothing is written; an attribute alone would not be saved."""
    tokenizer.eos_token, tokenizer.padding_side = "<|end|>", "left"
    tokenizer.init_kwargs["padding_side"] = "left"


def _transformers(model: Any, folder: Path) -> None:
    import torch

    model.to(torch.float16).save_pretrained(folder)


def _decides(folder: Path) -> None:
    """What makes transformers' own pipeline("decision") ask this model in the words it was taught with."""
    from transformers.decision import DecisionConfig

    template = (TEMPLATES / "decision_template.jinja").read_text(encoding="utf-8")
    DecisionConfig(chat_template=template).save_pretrained(folder)


_SAVERS = {"clip": _clip, "detector": _detector, "blip-vqa": _blip, "llm": _llm, "vlm": _vlm, "sd": _sd}
