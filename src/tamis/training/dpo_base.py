"""The base of a DPO training: as it is, or its language model in 4 bits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tamis import models
from tamis.config import ConfigError
from tamis.training.diffusion_models import training_dtype
from tamis.training.trl_training import language_layers
from tamis.training.worn import wear

if TYPE_CHECKING:
    from tamis.sources import Source
    from tamis.training.dpo import DpoLora


def load(config: DpoLora, base: Source, worn: Path | None = None) -> Any:
    """The base, frozen, with what it wears, and with TRL's fused head: log-probabilities without all the logits."""
    from transformers import AutoModelForImageTextToText
    from trl.trainer.utils import add_fused_lm_head

    options: dict[str, Any] = {"revision": base.revision, "use_safetensors": True, "dtype": training_dtype()}
    if config.load_in_4bit:
        options |= {"quantization_config": _in_4bit(config, base.revision), "device_map": {"": models.device()}}
    model = AutoModelForImageTextToText.from_pretrained(config.base_model, **options)
    model.requires_grad_(False)
    if config.load_in_4bit:
        _refuse_unpackable(model)
    else:
        model.to(models.device())
    if worn is not None:
        wear(model, worn, base, language_layers(model))
    model.eval()
    add_fused_lm_head(model)
    return model


def _refuse_unpackable(model: Any) -> None:
    """bitsandbytes (0.50) packs layers for a processor by blocks, and fails in the first forward pass where they are
    left over."""
    if models.device().type != "cpu":
        return
    for path in language_layers(model):
        layer = model.get_submodule(path)
        if layer.in_features % 64 or layer.out_features % 32:
            raise ConfigError(
                f"load_in_4bit: without a GPU bitsandbytes cannot pack a layer of {layer.in_features} inputs and "
                f"{layer.out_features} outputs ({path}); expected multiples of 64 and of 32"
            )


def _in_4bit(config: DpoLora, revision: str) -> Any:
    """Of the language model alone: what the vision tower sees is the same with and without."""
    from transformers import AutoConfig, AutoModelForImageTextToText, BitsAndBytesConfig

    told = AutoConfig.from_pretrained(config.base_model, revision=revision)
    with torch.device("meta"):
        empty = AutoModelForImageTextToText.from_config(told)
    adapted = set(language_layers(empty))
    linear = [path for path, layer in empty.named_modules() if isinstance(layer, torch.nn.Linear)]
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=training_dtype(),
        llm_int8_skip_modules=[path for path in linear if path not in adapted],
    )
