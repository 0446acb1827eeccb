"""Factors that were made of several adapters, written as one adapter in PEFT's format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import save_file

from tamis.durable import rename_durably, write_file
from tamis.training.merge_layers import DOWN, PREFIX, layers
from tamis.training.peft_files import CONFIG, WEIGHTS

if TYPE_CHECKING:
    import torch

    from tamis.sources import Source
    from tamis.training.merge_layers import Part


def write(parts: list[Part], weights: dict[str, torch.Tensor], base: Source, folder: Path) -> list[str]:
    """In the form of peft_files.save(), which takes them from a model. lora_alpha is the rank: B·A is the change."""
    partial = folder / f".{WEIGHTS}.partial"
    save_file(weights, partial, metadata={"format": "pt"})
    rename_durably(partial, folder / WEIGHTS)
    told = json.dumps(_config(parts, weights, base), indent=2, sort_keys=True)
    write_file(folder / CONFIG, f"{told}\n".encode())
    return [CONFIG, WEIGHTS]


def _config(parts: list[Part], weights: dict[str, torch.Tensor], base: Source) -> dict[str, Any]:
    """The first part's, of all layers by their full paths: an ending could name a layer that none of them changes."""
    rank = max(weight.shape[0] for name, weight in weights.items() if name.endswith(DOWN))
    ranks = {layer: weights[f"{PREFIX}{layer}{DOWN}"].shape[0] for layer in layers(parts)}
    others = {layer: own for layer, own in ranks.items() if own != rank}
    return parts[0].config | {
        "r": rank,
        "lora_alpha": rank,
        "rank_pattern": others,
        "alpha_pattern": others,
        "use_rslora": False,
        "target_modules": layers(parts),
        "exclude_modules": None,
        "layers_to_transform": None,
        "layers_pattern": None,
        "init_lora_weights": True,
        "base_model_name_or_path": base.repo_id,
        "revision": None if base.local else base.revision,
        "inference_mode": True,
    }
