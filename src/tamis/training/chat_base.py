"""The chat model that a LoRA is trained on: as it is, or its language model in 4 bits, with what it wears."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tamis import language_model, models
from tamis.config import ConfigError
from tamis.language_model import language_layers
from tamis.training.diffusion_models import training_dtype
from tamis.training.worn import wear

if TYPE_CHECKING:
    import torch

    from tamis.sources import Source
    from tamis.training.chat_lora import ChatLora


def load(
    config: ChatLora,
    base: Source,
    worn: Path | None,
    *,
    in_4bit: bool = False,
    dtype: torch.dtype | None = None,
    on_device: bool = True,
) -> Any:
    """The base, frozen, on the device, and an adapter that it wears for good. dtype: of its weights; None: that of
    training. on_device: or where it is loaded, for a trainer that moves it."""
    from transformers import AutoConfig, AutoModelForImageTextToText

    dtype = dtype or training_dtype()
    options: dict[str, Any] = {"revision": base.revision, "use_safetensors": True, "dtype": dtype}
    if in_4bit:
        told = AutoConfig.from_pretrained(config.base_model, revision=base.revision)
        quantised = language_model.in_4bit(told, training_dtype())
        options |= {"quantization_config": quantised, "device_map": {"": models.device()}}
    model = AutoModelForImageTextToText.from_pretrained(config.base_model, **options)
    model.requires_grad_(False)
    if in_4bit:
        _refuse_unpackable(model)
    elif on_device:
        model.to(models.device())
    if worn is not None:
        wear(model, worn, base, language_layers(model))
    return model


def shared_out() -> bool:
    """Whether ranks are to hold a share of the weights each: their trainer brings them where they belong. Until then a
    rank may hold none at all, or have no room for them."""
    from accelerate import DistributedType, PartialState

    where = PartialState(cpu=models.device().type == "cpu")
    return where.distributed_type in (DistributedType.FSDP, DistributedType.DEEPSPEED)


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
