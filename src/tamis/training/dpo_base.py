"""The base of a DPO training: as it is, or its language model in 4 bits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tamis import models
from tamis.config import ConfigError
from tamis.language_model import in_4bit, language_layers
from tamis.training.diffusion_models import training_dtype
from tamis.training.worn import wear

if TYPE_CHECKING:
    from tamis.sources import Source
    from tamis.training.dpo import DpoLora


def load(config: DpoLora, base: Source, worn: Path | None = None) -> Any:
    """The base, frozen, with what it wears, and with TRL's fused head: log-probabilities without all the logits."""
    from transformers import AutoConfig, AutoModelForImageTextToText
    from trl.trainer.utils import add_fused_lm_head

    options: dict[str, Any] = {"revision": base.revision, "use_safetensors": True, "dtype": training_dtype()}
    if config.load_in_4bit:
        told = AutoConfig.from_pretrained(config.base_model, revision=base.revision)
        options |= {"quantization_config": in_4bit(told, training_dtype()), "device_map": {"": models.device()}}
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
