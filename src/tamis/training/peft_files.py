"""An adapter in PEFT's format, byte for byte the same for the same weights: PEFT writes sets in an order of chance."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tamis.durable import rename_durably, write_file

if TYPE_CHECKING:
    from peft import PeftModel

    from tamis.sources import Source

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def save(model: PeftModel, folder: Path, base: Source, state: dict[str, torch.Tensor] | None = None) -> list[str]:
    """Writes the adapter that the model wears, for `base`, and returns the names of the files. state: the weights,
    where the model holds a share of them."""
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    weights: dict[str, torch.Tensor] = get_peft_model_state_dict(model, state_dict=state, save_embedding_layers=False)
    partial = folder / f".{WEIGHTS}.partial"
    save_file(
        {name: weight.detach().cpu().contiguous() for name, weight in weights.items()},
        partial,
        metadata={"format": "pt"},
    )
    rename_durably(partial, folder / WEIGHTS)
    told = json.dumps(_steady(_config(model, base)), indent=2, sort_keys=True)
    write_file(folder / CONFIG, f"{told}\n".encode())
    return [CONFIG, WEIGHTS]


def _config(model: PeftModel, base: Source) -> dict[str, Any]:
    told = model.active_peft_config.to_dict()
    kind = type(model.get_base_model())
    return told | {
        "base_model_name_or_path": base.repo_id,
        "revision": None if base.local else base.revision,
        "inference_mode": True,
        "auto_mapping": {"base_model_class": kind.__name__, "parent_library": kind.__module__},
    }


def _steady(value: Any) -> Any:
    if isinstance(value, set):
        return sorted(value)
    if isinstance(value, dict):
        return {key: _steady(item) for key, item in value.items()}
    return value
