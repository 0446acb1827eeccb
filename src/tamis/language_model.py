"""The language model of a chat model that sees: what adapters change, and what 4 bits hold.

Its eyes stay whole, so that they see the same wherever it is trained and asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tamis.config import ConfigError

if TYPE_CHECKING:
    import torch
    from transformers import BitsAndBytesConfig, PreTrainedConfig


def language_layers(model: Any) -> list[str]:
    """Paths of the linear layers of the language model, the output layer not among them."""
    found = _told_apart(model)
    if not found:
        raise ConfigError(f"base_model: a {type(model).__name__} has no language model that could be told apart")
    return found


def in_4bit(config: PreTrainedConfig, dtype: torch.dtype) -> BitsAndBytesConfig:
    """Of a model of this config: of one that sees the language model alone, of others what the library leaves over."""
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=_around(config),
    )


def _around(config: PreTrainedConfig) -> list[str] | None:
    import torch
    from transformers import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING, AutoModelForImageTextToText

    if type(config) not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        return None
    with torch.device("meta"):
        empty = AutoModelForImageTextToText.from_config(config)
    inner = set(_told_apart(empty))
    linear = [path for path, layer in empty.named_modules() if isinstance(layer, torch.nn.Linear)]
    return [path for path in linear if path not in inner] if inner else None


def _told_apart(model: Any) -> list[str]:
    import torch

    decoder = model.get_decoder()
    path = next((path for path, module in model.named_modules() if module is decoder), "")
    if not path:
        return []
    return [f"{path}.{inner}" for inner, layer in decoder.named_modules() if isinstance(layer, torch.nn.Linear)]
